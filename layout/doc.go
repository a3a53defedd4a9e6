// Package layout is the binary contract of samepage. It has every structure that two processes
// share, with its offsets, magic numbers and versions, and the functions that check a structure
// before it is used.
//
// The package makes no system calls and starts no goroutines. All structures are little-endian,
// of fixed width and explicitly padded. They hold offsets, never pointers, and have the same
// bytes on every architecture. docs/layout.md has the same tables for readers in other languages,
// and a test compares them.
//
// The input of a Parse or Validate function may come from a hostile process. Each function reads
// it once, checks it, and then uses it. A bad value is an error that matches [ErrCorrupt],
// [ErrVersion], [ErrKindMismatch] or [ErrBadToken], never a panic.
package layout

import "errors"

// These are the errors of this package. Package samepage exports them under the same names; use
// those.
var (
	ErrCorrupt      = errors.New("corrupt shared memory")
	ErrVersion      = errors.New("layout version not supported")
	ErrEvicted      = errors.New("evicted, because it was too slow")
	ErrRetired      = errors.New("retired, so that another one can take its name")
	ErrType         = errors.New("the type cannot be stored in shared memory")
	ErrKindMismatch = errors.New("another kind of object")
	ErrBadToken     = errors.New("bad token")
)
