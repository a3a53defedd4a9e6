// Package edge tells the race detector (go test -race) which goroutine comes after which. The
// detector does not see words in mapped memory, and does not see atomic operations on them. If a
// mutex or a message in shared memory orders two goroutines of one process, the detector would
// think that they are not ordered.
//
// A goroutine calls Release before it changes a word for which others may wait. A goroutine that
// has seen the change calls Acquire after that. As in package sync, Acquire comes after each
// earlier Release of the same word, and a Release keeps what earlier ones said. An unnecessary
// edge hides a race of the user. So each promise of the documentation has its own word (the lock
// of a mutex, each slot of a topic), and is reported only if it was kept: an Unlock that failed
// reports nothing.
//
// Without the detector all of it is empty: no code, no bytes.
//
// docs/decisions/0016-the-race-detector.md gives the reasons. docs/race.md tells users what the
// detector sees.
package edge
