//go:build race

package edge

import (
	"hash/maphash"
	"runtime"
	"unsafe"
)

// Enabled says whether the race detector watches this build.
const Enabled = true

// Object is one shared object of any kind. All handles of the process on the shared object have
// the same Object. The zero value has no words: then nothing is reported.
type Object struct{ id uint64 }

var seed = maphash.MakeSeed()

// Of is the object with this identity. Equal identities of one type are the same object.
func Of[T comparable](identity T) Object { return Object{maphash.Comparable(seed, identity) | 1} }

// words are the addresses by which the detector knows the words of all objects. They lie on the
// heap, where the detector looks, and nobody reads or writes them. A word is found by hash and
// needs no table, so it is the same for handles that are not open at the same time. By chance,
// once in a million, two words have the same address: then there is one edge too many, but never
// one too few.
var words = new([1 << 20]byte)

func (o Object) word(n uint64) unsafe.Pointer {
	x := o.id + n*0x9e3779b97f4a7c15 // the steps of splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return unsafe.Pointer(&words[(x^x>>31)%uint64(len(words))])
}

// Release says: what this goroutine has done happens before what another does after a later
// Acquire of word n.
func (o Object) Release(n uint64) {
	if o.id != 0 {
		runtime.RaceReleaseMerge(o.word(n))
	}
}

// Acquire says: what this goroutine does next happens after what others have done before each
// earlier Release of word n.
func (o Object) Acquire(n uint64) {
	if o.id != 0 {
		runtime.RaceAcquire(o.word(n))
	}
}
