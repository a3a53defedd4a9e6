package ipctest

import "unsafe"

// Aligned is n zero bytes on the heap that begin at a line of 128 bytes.
func Aligned(n uint64) []byte {
	b := make([]byte, n+128)
	off := -uintptr(unsafe.Pointer(&b[0])) & 127
	return b[off : uint64(off)+n]
}
