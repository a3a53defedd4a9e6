package stream_test

import (
	"sync/atomic"
	"unsafe"
)

// word is the word at a place of shared memory.
func word(b []byte, at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&b[at])) }
