//go:build amd64 && !race && !samepagefault

package lane

import "unsafe"

// commit does P2 to P5 of docs/protocol/lane.md, and then stores Head. place has the slot in the
// lower half and the length in the upper half. amd64 keeps the order of stores. With fence the
// commit word is stored by XCHG, which is a full fence.
//
//go:noescape
func commit(entry, header unsafe.Pointer, head *uint64, q, place uint64, next uint32, fence bool)

// zeroAll stores 0 to the Generation of slots. The slots begin at base.
func zeroAll(base unsafe.Pointer, size uintptr, slots []uint32) {
	if len(slots) > 0 {
		zeroGenerations(base, size, &slots[0], len(slots))
	}
}

//go:noescape
func zeroGenerations(base unsafe.Pointer, size uintptr, slots *uint32, n int)

// storeRelease stores v after all earlier loads and stores. atomic.Store would be an XCHG.
//
//go:noescape
func storeRelease(p *uint64, v uint64)

// poll checks up to n times whether *seq is at least want, with a PAUSE between two checks. It
// cannot be preempted, so keep n below about 20. hint is an address that the caller will need if
// poll returns true; poll prefetches it.
//
//go:noescape
func poll(seq *uint64, want uint64, hint unsafe.Pointer, n uint32) bool
