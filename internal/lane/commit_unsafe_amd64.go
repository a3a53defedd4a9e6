//go:build amd64 && !race && !samepagefault

package lane

import "unsafe"

// commit is P2 to P5 of docs/protocol/lane.md. place is the slot, and the length
// in the upper half. amd64 keeps the order of stores; with fence the last one is
// an XCHG, which is a full fence.
func commit(entry, header unsafe.Pointer, q, place uint64, next uint32, fence bool) {
	if fence {
		commitFenced(entry, header, q, place, next)
	} else {
		commitStored(entry, header, q, place, next)
	}
}

//go:noescape
func commitFenced(entry, header unsafe.Pointer, q, place uint64, next uint32)

//go:noescape
func commitStored(entry, header unsafe.Pointer, q, place uint64, next uint32)

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
