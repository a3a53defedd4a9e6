// Package forgotten gives back what its user has dropped without Close, as package os
// does with files. A build with -tags samepagedebug tells of each such object on standard
// error, with the stack that opened it.
//
// An object that has something of the system is in two parts. The outer one is the
// user's; nothing but the user, and calls that are under way, refers to it. The inner one
// has descriptors, locks and mappings, and does not refer to the outer one. So goroutines,
// contexts and tables may refer to the inner one for as long as they like.
package forgotten

import "runtime"

// Guard watches one object. The zero value watches none.
type Guard struct{ c runtime.Cleanup }

// Watch has giveBack called, once, when nobody refers to outer any more, unless Done was
// called before. It is called by a goroutine of its own, so it may block. It must not
// refer to outer, nor must inner. what and name say what outer is, for people.
//
// giveBack says whether the object is kept all the same.
func Watch[O, I any](outer *O, what, name string, giveBack func(I) (kept bool), inner I) Guard {
	s := opened(what, name)
	return Guard{runtime.AddCleanup(outer, func(inner I) {
		go func() { s.tell(giveBack(inner)) }()
	}, inner)}
}

// Done ends the watch: the object is being closed. g must be part of what it watches.
func (g *Guard) Done() {
	g.c.Stop()
	runtime.KeepAlive(g)
}

// KeepWith keeps kept for as long as somebody refers to obj.
func KeepWith[O, K any](obj *O, kept *K) { runtime.AddCleanup(obj, func(*K) {}, kept) }
