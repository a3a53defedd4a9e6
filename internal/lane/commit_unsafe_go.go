//go:build !amd64 || race || samepagefault

package lane

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"samepage/internal/fault"
	"samepage/layout"
)

// commit does P2 to P5 of docs/protocol/lane.md. place has the slot in the lower half and the
// length in the upper half. Go's atomic stores are full fences, which is more than necessary.
func commit(entry, header unsafe.Pointer, head *uint64, q, place uint64, next uint32, _ bool) {
	atomic.StoreUint32((*uint32)(unsafe.Add(header, layout.SlotLengthOffset)), uint32(place>>32))
	atomic.StoreUint64((*uint64)(header), q)
	atomic.StoreUint64((*uint64)(entry), 0) // P3
	fault.At(fault.LaneZeroed)
	atomic.StoreUint64((*uint64)(unsafe.Add(entry, layout.EntrySlotOffset)), place)
	atomic.StoreUint32((*uint32)(unsafe.Add(entry, layout.EntryNextOffset)), next)
	fault.At(fault.LaneNamed)
	atomic.StoreUint64((*uint64)(entry), q)
	atomic.StoreUint64(head, q+1)
}

// zeroAll stores 0 to the Generation of slots. The slots begin at base.
func zeroAll(base unsafe.Pointer, size uintptr, slots []uint32) {
	for _, s := range slots {
		atomic.StoreUint64((*uint64)(unsafe.Add(base, uintptr(s)*size)), 0)
	}
}

// storeRelease stores v after all earlier loads and stores.
func storeRelease(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// poll checks n times whether *seq is at least want, with a pause between two checks. hint is an
// address that the caller will need if poll returns true.
func poll(seq *uint64, want uint64, _ unsafe.Pointer, n uint32) bool {
	for range n {
		if atomic.LoadUint64(seq) >= want {
			return true
		}
		runtime.Gosched()
	}
	return false
}
