package call

import (
	"sync/atomic"
	"unsafe"

	"samepage/layout"
)

// These are the words of the call slots. Offsets come from the settings, which were checked against
// the sizes of the regions. Slots and parts are less than the limits in the settings.

// hints is word w of the bitmap of hints.
func (s *Set) hints(w int) *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(&s.live[0]), layout.ServiceHintsOffset+8*w))
}

func (s *Set) at(off uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(&s.payload[0]), off) }

func (s *Set) word(off uint64) *uint64 { return (*uint64)(s.at(off)) }

func (s *Set) slotAt(slot int) uint64 { return uint64(slot) * s.o.Slot }

func (s *Set) askAt(slot int) uint64 { return s.slotAt(slot) + s.o.Ask }

func (s *Set) partAt(slot int, k uint32) uint64 {
	return s.slotAt(slot) + s.o.Answer + uint64(k)*s.o.Part
}

func (s *Set) owner(slot int) *uint64 { return s.word(s.slotAt(slot)) }

func (s *Set) cancel(slot int) *uint64 { return s.word(s.slotAt(slot) + layout.CallCancelOffset) }

func (s *Set) consumed(slot int) *uint64 { return s.word(s.slotAt(slot) + layout.CallConsumedOffset) }

// died is one of the words of the worker that died. The word of DiedPID also has DiedCall.
func (s *Set) died(slot int, off uint64) *uint64 { return s.word(s.slotAt(slot) + s.o.Work + off) }

func (s *Set) begun(slot int) *uint64 { return s.word(s.slotAt(slot) + s.o.Work) }

func (s *Set) state(slot int) *uint64 { return s.word(s.askAt(slot)) }

// askWord is a word of a CallAsk. The word of Length also has Client.
func (s *Set) askWord(slot int, off uint64) *uint64 { return s.word(s.askAt(slot) + off) }

func (s *Set) reply(slot int) *uint64 { return s.word(s.partAt(slot, 0)) }

// partWord is a word of a CallAnswer. The word of Length also has Code.
func (s *Set) partWord(slot int, k uint32, off uint64) *uint64 {
	return s.word(s.partAt(slot, k) + off)
}

// bytes is n bytes at an offset.
func (s *Set) bytes(off, n uint64) []byte { return unsafe.Slice((*byte)(s.at(off)), n) }

func (s *Set) putDiedName(slot int, name string) {
	var b [64]byte
	layout.PutText(b[:], name)
	w := (*[8]uint64)(unsafe.Pointer(&b))
	for k := range w {
		atomic.StoreUint64(s.died(slot, layout.CallDiedNameOffset+8*uint64(k)), w[k])
	}
}

func (s *Set) diedName(slot int) string {
	var w [8]uint64
	for k := range w {
		w[k] = atomic.LoadUint64(s.died(slot, layout.CallDiedNameOffset+8*uint64(k)))
	}
	return layout.Text((*[64]byte)(unsafe.Pointer(&w))[:])
}
