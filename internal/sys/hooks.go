package sys

// What the rooms that stand on package samepage need of it and it keeps to itself.
// Package samepage sets these.
var (
	// ObjectOf is the Object of a *samepage.Memory.
	ObjectOf func(memory any) *Object
	// AnyObject says whether f is true of an object that this process has open. It
	// must not open or close one.
	AnyObject func(f func(*Object) bool) bool
)
