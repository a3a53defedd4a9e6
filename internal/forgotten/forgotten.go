// Package forgotten closes objects that their user has dropped without Close, as package os does
// with files. A build with -tags samepagedebug reports each such object on standard error, with
// the stack that opened it.
//
// An object with resources of the system has two parts. The user has the outer part; only the
// user, and calls that are running, refer to it. The inner part has the descriptors, locks and
// mappings, and does not refer to the outer part. So goroutines, contexts and tables may refer to
// the inner part as long as they like.
package forgotten

import "runtime"

// Guard watches one object. The zero value watches none.
type Guard struct{ c runtime.Cleanup }

// Watch calls giveBack once, when nobody refers to outer any more, unless Done was called before.
// giveBack runs in a goroutine of its own, so it may block. Neither giveBack nor inner may refer
// to outer. what and name describe outer for people. giveBack returns true if it keeps the object
// nevertheless.
func Watch[O, I any](outer *O, what, name string, giveBack func(I) (kept bool), inner I) Guard {
	s := opened(what, name)
	return Guard{runtime.AddCleanup(outer, func(inner I) {
		go func() { s.tell(giveBack(inner)) }()
	}, inner)}
}

// Done ends the watch, because the object is being closed. g must be part of the object that it
// watches.
func (g *Guard) Done() {
	g.c.Stop()
	runtime.KeepAlive(g)
}

// KeepWith keeps kept alive while somebody refers to obj.
func KeepWith[O, K any](obj *O, kept *K) { runtime.AddCleanup(obj, func(*K) {}, kept) }
