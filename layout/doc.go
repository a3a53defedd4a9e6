// Package layout is the binary contract of samepage: every structure that two
// processes share, with its offsets, magic numbers and versions, and the
// functions that check one before it is used.
//
// The package does no system call and starts no goroutine. All structures are
// little-endian, of fixed width and explicitly padded; they hold offsets, never
// pointers, and are the same bytes on every architecture. docs/layout.md
// carries the same tables for readers in other languages, and a test compares
// them.
//
// Whatever a Parse or Validate function is given may come from a hostile
// process. It is read once, checked, and then used; a bad value is an error
// that matches [ErrCorrupt], [ErrVersion], [ErrKindMismatch] or [ErrBadToken],
// never a panic.
package layout

import "errors"

// The errors of this package. Package samepage exports them under the same
// names; use those.
var (
	ErrCorrupt      = errors.New("corrupt shared memory")
	ErrVersion      = errors.New("layout version not supported")
	ErrEvicted      = errors.New("passed over for being too slow")
	ErrType         = errors.New("not a type for shared memory")
	ErrKindMismatch = errors.New("another kind of object")
	ErrBadToken     = errors.New("bad token")
)
