package layout

import (
	"fmt"
	"unsafe"
)

// As is the T that b holds, in place. b must be aligned like a T, and TypeOf must accept T.
//
// Errors: ErrCorrupt, if b is shorter than a T or not aligned.
func As[T any](b []byte) (*T, error) {
	var t T
	if uintptr(len(b)) < unsafe.Sizeof(t) || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%unsafe.Alignof(t) != 0 {
		return nil, fmt.Errorf("%d bytes, but a %T has %d and must be aligned: %w", len(b), t, unsafe.Sizeof(t), ErrCorrupt)
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))), nil
}
