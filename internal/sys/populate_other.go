//go:build !linux

package sys

// Populate makes the system provide the pages of b, so that the first writes cause no page faults.
// The content stays, also if others write at the same time. Populate is only about time: if there
// is no memory, or the file below has shrunk, it stops, and later accesses behave as without it.
//
// Preconditions:
//   - b lies in a writable mapping, and begins at a multiple of 4.
func Populate(b []byte) { touch(b) }
