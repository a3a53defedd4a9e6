//go:build !race

package edge

// Enabled says whether the race detector watches this build.
const Enabled = false

// Object is one shared object of any kind; see the build with the race detector.
type Object struct{}

// Of is the object with this identity.
func Of[T comparable](T) Object { return Object{} }

// Release says: what this goroutine has done happens before what another does after a later
// Acquire of word n.
func (Object) Release(uint64) {}

// Acquire says: what this goroutine does next happens after what others have done before each
// earlier Release of word n.
func (Object) Acquire(uint64) {}
