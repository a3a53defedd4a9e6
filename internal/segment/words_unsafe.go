package segment

import (
	"sync/atomic"
	"time"
	"unsafe"

	"samepage/layout"
)

// These are the words of a segment. Offsets come from the header, which was checked against the
// size of the mapping. Indices are less than h.n.

func (h *Handle) at(off uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(&h.b[0]), off) }

func (h *Handle) member(i int) uintptr { return h.table + uintptr(i)*layout.MemberSize }

func (h *Handle) identity(i int) *uint64 { return (*uint64)(h.at(h.member(i))) }

func (h *Handle) held(i int) *uint64 { return (*uint64)(h.at(h.member(i) + layout.MemberHeldOffset)) }

// since is when the wait of the member in a slot began, in nanoseconds since 1970; 0: not known.
func (h *Handle) since(i int) *uint64 {
	return (*uint64)(h.at(h.member(i) + layout.MemberSinceOffset))
}

// Held is the Held word of this member. Only this member writes it.
//
// Preconditions:
//   - The handle has joined.
func (h *Handle) Held() *uint64 { return h.held(h.slot) }

func (h *Handle) wakerWord(i int) *uint32 {
	return (*uint32)(h.at(h.member(i) + layout.MemberWakerOffset))
}

// Live64 is the 64-bit live word at off.
//
// Preconditions:
//   - off is a multiple of 8 and lies in the live region. The kind says how large that is.
func (h *Handle) Live64(off uintptr) *uint64 { return (*uint64)(h.at(h.live + off)) }

// sleepers is word w of the bitmap of sleepers.
func (h *Handle) sleepers(w int) *uint64 {
	return h.Live64(layout.LockSleepersOffset + uintptr(w)*8)
}

func (h *Handle) setBit() { atomic.OrUint64(h.sleepers(h.slot/64), 1<<(h.slot%64)) }

func (h *Handle) clearBit(i int) { atomic.AndUint64(h.sleepers(i/64), ^(uint64(1) << (i % 64))) }

func (h *Handle) bit(i int) bool { return atomic.LoadUint64(h.sleepers(i/64))>>(i%64)&1 != 0 }

// Role is the role that the member in a slot has set.
//
// Preconditions:
//   - slot is 0 to Members - 1.
func (h *Handle) Role(slot int) uint32 {
	return atomic.LoadUint32((*uint32)(h.at(h.member(slot) + layout.MemberRoleOffset)))
}

// SetRole sets the role of this member. The meaning depends on the kind of segment.
//
// Preconditions:
//   - The handle has joined, or it is joining and holds the lock byte.
func (h *Handle) SetRole(role uint32) {
	atomic.StoreUint32((*uint32)(h.at(h.member(h.slot)+layout.MemberRoleOffset)), role)
}

// putMember writes the description of a member into slot i.
//
// Preconditions:
//   - The caller holds the lock byte of slot i.
//   - Identity does not yet say that the caller uses the slot.
func (h *Handle) putMember(i int, p layout.Process, space uint64, joined int64, name string) {
	m := h.member(i)
	atomic.StoreUint32((*uint32)(h.at(m+layout.MemberPIDOffset)), p.PID)
	atomic.StoreUint64((*uint64)(h.at(m+layout.MemberStartOffset)), p.Start)
	atomic.StoreUint64((*uint64)(h.at(m+layout.MemberSpaceOffset)), space)
	atomic.StoreUint64((*uint64)(h.at(m+layout.MemberJoinedOffset)), uint64(joined))
	atomic.StoreUint64(h.since(i), 0)
	var b [64]byte
	layout.PutText(b[:], name)
	h.putText(m+layout.MemberNameOffset, &b)
}

// who reads the description in a slot. The slot may belong to another member than o by now.
func (h *Handle) who(i int, o layout.Owner) Who {
	m := h.member(i)
	return Who{
		Slot: i, Incarnation: o.Incarnation(),
		PID:    atomic.LoadUint32((*uint32)(h.at(m + layout.MemberPIDOffset))),
		Start:  atomic.LoadUint64((*uint64)(h.at(m + layout.MemberStartOffset))),
		Space:  atomic.LoadUint64((*uint64)(h.at(m + layout.MemberSpaceOffset))),
		Joined: time.Unix(0, int64(atomic.LoadUint64((*uint64)(h.at(m+layout.MemberJoinedOffset))))),
		Name:   h.text(m + layout.MemberNameOffset),
		Role:   atomic.LoadUint32((*uint32)(h.at(m + layout.MemberRoleOffset))),
		Held:   atomic.LoadUint64(h.held(i)),
	}
}

// Text fields are read and written atomically, word by word. So a reader may see half of a new
// name, but there is never a data race.

func (h *Handle) putText(off uintptr, b *[64]byte) {
	w := (*[8]uint64)(unsafe.Pointer(b))
	for k := range w {
		atomic.StoreUint64((*uint64)(h.at(off+uintptr(k)*8)), w[k])
	}
}

func (h *Handle) text(off uintptr) string {
	var w [8]uint64
	for k := range w {
		w[k] = atomic.LoadUint64((*uint64)(h.at(off + uintptr(k)*8)))
	}
	return layout.Text((*[64]byte)(unsafe.Pointer(&w))[:])
}

// PutLiveText and LiveText write and read a text of 64 bytes in the live words.
//
// Preconditions:
//   - off is a multiple of 8, and the 64 bytes lie in the live region.
func (h *Handle) PutLiveText(off uintptr, s string) {
	var b [64]byte
	layout.PutText(b[:], s)
	h.putText(h.live+off, &b)
}

// LiveText reads the text that PutLiveText has written.
func (h *Handle) LiveText(off uintptr) string { return h.text(h.live + off) }

// words is n zero bytes on the heap, at an address that is aligned for 64-bit words.
func words(n int) []byte {
	w := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), n)
}
