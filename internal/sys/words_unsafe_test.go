package sys

import "unsafe"

// word is the first word of b, which must be aligned.
func word(b []byte) *uint32 { return (*uint32)(unsafe.Pointer(unsafe.SliceData(b))) }
