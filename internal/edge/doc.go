// Package edge tells the race detector (go test -race) which goroutine comes after
// which. The detector does not see words in mapped memory: not the atomic operations
// on them either. So it would take two goroutines of one process for unordered whose
// order a mutex or a message in shared memory makes.
//
// Whoever is about to change a word in a way that others may wait for calls Release
// before; whoever has seen the change calls Acquire after. As in package sync, Acquire
// comes after each Release of the same word that was called before it, and a Release
// keeps what earlier ones said. An edge too many hides a race of the user: so each
// promise of the documentation has a word of its own (the lock of a mutex, each slot of
// a topic), and is told only when it was kept: not by an Unlock that failed.
//
// Without the detector all of it is empty: no code, no bytes.
//
// docs/decisions/0016-the-race-detector.md has the reasons; docs/race.md tells users
// what the detector sees.
package edge
