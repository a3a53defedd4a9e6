//go:build amd64 && !race && !samepagefault

package lane

import "unsafe"

// commit is P2 to P5 of docs/protocol/lane.md, and then stores Head. place is the slot,
// and the length in the upper half. amd64 keeps the order of stores; with fence that of
// the commit word is an XCHG, which is a full fence.
//
//go:noescape
func commit(entry, header unsafe.Pointer, head *uint64, q, place uint64, next uint32, fence bool)

// zeroAll stores 0 to the Generation of slots, which begin at base.
func zeroAll(base unsafe.Pointer, size uintptr, slots []uint32) {
	if len(slots) > 0 {
		zeroGenerations(base, size, &slots[0], len(slots))
	}
}

//go:noescape
func zeroGenerations(base unsafe.Pointer, size uintptr, slots *uint32, n int)

// storeRelease stores v after all that precedes; atomic.Store would be an XCHG.
//
//go:noescape
func storeRelease(p *uint64, v uint64)

// poll looks up to n times whether *seq is at least want, with a PAUSE between, which
// cannot be preempted: keep n below some 20. hint is an address that will be needed
// when it is; it is fetched meanwhile.
//
//go:noescape
func poll(seq *uint64, want uint64, hint unsafe.Pointer, n uint32) bool
