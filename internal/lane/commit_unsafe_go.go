//go:build !amd64 || race || samepagefault

package lane

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"samepage/internal/fault"
	"samepage/layout"
)

// commit stores the Length and the Next of a message of n bytes and then does P3 to P5 of
// docs/protocol/lane.md, stores Head and Bytes (total), and then does F1 for the slot with the
// header old. Go's atomic stores are full fences, which is more than necessary.
func commit(entry, header, old unsafe.Pointer, head *uint64, q, total uint64, slot, n, next uint32, _ bool, _ unsafe.Pointer) {
	atomic.StoreUint32((*uint32)(unsafe.Add(header, layout.SlotLengthOffset)), n)
	atomic.StoreUint32((*uint32)(unsafe.Add(header, layout.SlotNextOffset)), next)
	atomic.StoreUint64((*uint64)(header), q) // P3
	fault.At(fault.LanePublished)
	atomic.StoreUint64((*uint64)(entry), 0) // P4
	fault.At(fault.LaneZeroed)
	atomic.StoreUint32((*uint32)(unsafe.Add(entry, layout.EntrySlotOffset)), slot)
	fault.At(fault.LaneNamed)
	atomic.StoreUint64((*uint64)(entry), q) // P5
	atomic.StoreUint64(head, q+1)
	atomic.StoreUint64((*uint64)(unsafe.Add(unsafe.Pointer(head), layout.LaneBytesOffset-layout.LaneHeadOffset)), total)
	fault.At(fault.LaneCommitted)
	atomic.StoreUint64((*uint64)(old), 0) // F1
}

// zeroAll stores 0 to the Generation of slots. The slots begin at base.
func zeroAll(base unsafe.Pointer, size uintptr, slots []uint32) {
	for _, s := range slots {
		atomic.StoreUint64((*uint64)(unsafe.Add(base, uintptr(s)*size)), 0)
	}
}

// storeRelease stores v after all earlier loads and stores.
func storeRelease(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// poll checks n times whether *at is want, with a pause between two checks.
func poll(at *uint64, want uint64, n uint32) bool {
	for range n {
		if atomic.LoadUint64(at) == want {
			return true
		}
		runtime.Gosched()
	}
	return false
}
