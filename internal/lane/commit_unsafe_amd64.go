//go:build amd64 && !race && !samepagefault

package lane

import "unsafe"

// commit stores the Length and the Next of a message of n bytes and then does P3 to P5 of
// docs/protocol/lane.md, stores Head, adds n to Bytes, and then does F1 for the slot with the
// header old. amd64 keeps the order of stores. With fence the Sequence is stored by XCHG, which
// is a full fence.
//
//go:noescape
func commit(entry, header, old unsafe.Pointer, head *uint64, q uint64, slot, n, next uint32, fence bool)

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

// poll checks up to n times whether *at is want, with a PAUSE between two checks. It cannot be
// preempted, so n is at most 32. Meanwhile it prefetches the line after at.
//
//go:noescape
func poll(at *uint64, want uint64, n uint32) bool
