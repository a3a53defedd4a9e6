//go:build !race

package edge

// Enabled says whether the race detector watches this build.
const Enabled = false

// Object is one shared object of any kind; see the build with the race detector.
type Object struct{}

// Of is the object of that identity.
func Of[T comparable](T) Object { return Object{} }

// Release says: what this goroutine has done comes before what others do after an
// Acquire of word n that follows.
func (Object) Release(uint64) {}

// Acquire says: what this goroutine does next comes after what others have done before
// each Release of word n so far.
func (Object) Acquire(uint64) {}
