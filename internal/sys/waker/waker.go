// Package waker has the ways in which a thread waits: it spins (Pause), sleeps for a short time
// (Doze), or sleeps until another process rings its waker. docs/protocol/waker.md has the protocol
// that uses it.
package waker

import "samepage/layout"

// Segment is a segment whose members wake each other.
type Segment struct {
	ID    layout.ID
	Scope layout.Scope
	// Like is the handle of a file whose rights new wakers get, on Windows. It must be open
	// whenever New is called.
	Like uintptr
}
