//go:build race

package segment

// ownWatch is the death watch of one handle, one WaitAny, or one Until. Where the race
// detector looks on each has its own: the mutex of a common one would order all goroutines of the process
// that sleep, whatever they sleep for, and so hide races of the user.
type ownWatch struct{ d deathWatch }

// oneWatch is set by tests that stop the common one.
var oneWatch bool

func (o *ownWatch) watch() *deathWatch {
	if oneWatch {
		return &watch
	}
	return &o.d
}
