package layout

import (
	"fmt"
	"unsafe"
)

// As is the T that b holds, in place. b must be aligned as a T is, and its type have
// passed TypeOf.
//
// Errors: ErrCorrupt, when b is shorter than a T.
func As[T any](b []byte) (*T, error) {
	var t T
	if uintptr(len(b)) < unsafe.Sizeof(t) || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%unsafe.Alignof(t) != 0 {
		return nil, fmt.Errorf("%d bytes for a %T of %d: %w", len(b), t, unsafe.Sizeof(t), ErrCorrupt)
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))), nil
}
