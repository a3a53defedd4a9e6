//go:build !linux

package sys

// Reserve does nothing: all bytes have been reserved when the object was made. Errors: none.
func (o *Object) Reserve(_, _, _ int64) error { return nil }

// Discard does nothing: the system gives back only whole objects.
func (o *Object) Discard(_, _ int64) {}
