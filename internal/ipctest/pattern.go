package ipctest

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Numbered is a value that tells by itself whether it is whole: a number, filler that
// follows from it, and a checksum of both, as test/interop/cpp/sharememory.h has it.
func Numbered(number uint32) []byte {
	v := make([]byte, 8+number%200)
	word := number*2654435761 + 1
	for i := 4; i+4 < len(v); i++ {
		word = word*1664525 + 1013904223
		v[i] = byte(word >> 24)
	}
	binary.LittleEndian.PutUint32(v, number)
	sum := uint32(2166136261)
	for _, b := range v[:len(v)-4] {
		sum = (sum ^ uint32(b)) * 16777619
	}
	binary.LittleEndian.PutUint32(v[len(v)-4:], sum)
	return v
}

// Paint makes the pixels of picture k: its number in the first four bytes, and then
// all bytes from 0 to 255 over and over, beginning at a place of its own. So one that
// has bytes of two pictures is seen.
func Paint(pix []byte, k int) {
	var block [256]byte
	for i := range block {
		block[i] = byte(37*k + i)
	}
	for i := 0; i < len(pix); i += len(block) {
		copy(pix[i:], block[:])
	}
	binary.LittleEndian.PutUint32(pix, uint32(k))
}

// Painted is which picture pix has; an error if it is torn.
func Painted(pix []byte) (int, error) {
	k := int(binary.LittleEndian.Uint32(pix))
	var block [256]byte
	for i := range block {
		block[i] = byte(37*k + i)
	}
	for i := 4; i < len(pix); i = i&^255 + 256 {
		end := min(i&^255+256, len(pix))
		if !bytes.Equal(pix[i:end], block[i&255:][:end-i]) {
			return k, fmt.Errorf("picture %d of %d bytes is torn before byte %d", k, len(pix), end)
		}
	}
	return k, nil
}
