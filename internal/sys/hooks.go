package sys

import "samepage/layout"

// What the rooms that stand on package samepage need of it and it keeps to itself.
// Package samepage sets these.
var (
	// ObjectOf is the Object of a *samepage.Memory.
	ObjectOf func(memory any) *Object
	// MemoryOf is a *samepage.Memory of an Object, which it owns from then on.
	MemoryOf func(*Object) any
	// HandOut runs f, which prepares the hand-over of a *samepage.Memory by a bare
	// handle, while that cannot be closed. Errors: fs.ErrInvalid,
	// fs.ErrPermission, fs.ErrClosed, and those of f.
	HandOut func(memory any, access layout.Access, f func(*Object) (uint64, error)) (uint64, error)
	// AnyObject says whether f is true of an object that this process has open. It
	// must not open or close one.
	AnyObject func(f func(*Object) bool) bool
)
