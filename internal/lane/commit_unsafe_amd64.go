//go:build amd64 && !race && !samepagefault

package lane

import "unsafe"

// commit stores the Length and the Next of a message of n bytes and then does P3 to P5 of
// docs/protocol/lane.md, stores Head and Bytes (total), and then does F1 for the slot with the
// header old. The caller counts the total, because a load of Bytes would wait for the line of
// cache, which readers take to read Head. amd64 keeps the order of stores. With fence the Sequence
// is stored by XCHG, which is a full fence.
//
// It prefetches for writing: the line after the entry, and the first two lines of ahead, the header
// of a slot that will be used soon. Readers have these lines, and to take them back in advance
// saves the wait for them.
//
//go:noescape
func commit(entry, header, old unsafe.Pointer, head *uint64, q, total uint64, slot, n, next uint32, fence bool, ahead unsafe.Pointer)

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
