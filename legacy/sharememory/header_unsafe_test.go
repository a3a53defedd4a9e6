package sharememory

import (
	"bytes"
	"testing"
	"unsafe"
)

// The header has the layout of wire.h, as a C structure and byte by byte.
func TestMission002_03_HeaderOffsets(t *testing.T) {
	var h header
	for _, f := range []struct {
		name           string
		is, code, want uintptr
	}{
		{"memory size", unsafe.Offsetof(h.MemorySize), offMemorySize, 0},
		{"head size", unsafe.Offsetof(h.HeadSize), offHeadSize, 4},
		{"content size", unsafe.Offsetof(h.ContentSize), offContentSize, 8},
		{"tail size", unsafe.Offsetof(h.TailSize), offTailSize, 12},
		{"CRC", unsafe.Offsetof(h.CRC), offCRC, 16},
		{"reserved", unsafe.Offsetof(h.Reserved), offReserved, 24},
		{"padding", unsafe.Offsetof(h.Padding), offPadding, 28},
		{"end", unsafe.Sizeof(h), headSize, 32},
	} {
		if f.is != f.want || f.code != f.want {
			t.Errorf("%s is at %d in the structure and %d in the codec, want %d", f.name, f.is, f.code, f.want)
		}
	}
	h = header{0x01020304, 0x11121314, 0x21222324, 0x31323334, 0x4142434445464748, 0x51525354, 0x61626364}
	b := h.encode()
	if want := []byte{
		4, 3, 2, 1, 0x14, 0x13, 0x12, 0x11, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31,
		0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41, 0x54, 0x53, 0x52, 0x51, 0x64, 0x63, 0x62, 0x61,
	}; !bytes.Equal(b, want) {
		t.Errorf("encoded as % x, want % x", b, want)
	}
	if got := decodeHeader((*[headSize]byte)(b)); got != h {
		t.Errorf("decoded as %+v, want %+v", got, h)
	}
}
