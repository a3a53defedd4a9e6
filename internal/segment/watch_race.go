//go:build race

package segment

// ownWatch is the death watch of one handle, one WaitAny or one Until. With the race detector
// each has its own watch. The mutex of a common watch would order all goroutines of the process
// that sleep, and so hide races of the user.
type ownWatch struct{ d deathWatch }

// oneWatch is set by tests that stop the common watch.
var oneWatch bool

func (o *ownWatch) watch() *deathWatch {
	if oneWatch {
		return &watch
	}
	return &o.d
}
