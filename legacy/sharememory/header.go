package sharememory

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"

	"samepage"
)

// The names of the objects in the two layouts.
const (
	seedSection = "ShareMemoryMap-"
	seedLock    = "ShareMemoryLockedFile-"
	headSection = "SMM-"
	headLock    = "SMLF-"
	lockEnding  = ".mdb"
)

// The header is little-endian, at offset 0 of the section. The content follows it, and then,
// in layout Seed only, the tail: one zero byte. Writers write all of it, under the write
// lock.
const (
	headSize = 32
	seedTail = 1

	offMemorySize  = 0
	offHeadSize    = 4
	offContentSize = 8
	offTailSize    = 12 // padding in layout Head
	offCRC         = 16
	offReserved    = 24
	offPadding     = 28
)

// header is the decoded header.
type header struct {
	MemorySize  int32  // header, room and tail, in bytes
	HeadSize    int32  // 32
	ContentSize int32  // of the value, in bytes; 0 before the first one
	TailSize    int32  // 1; in layout Head any value
	CRC         uint64 // CRC-64/XZ of the content
	Reserved    int32
	Padding     int32
}

func (h *header) encode() []byte {
	b := make([]byte, headSize)
	binary.LittleEndian.PutUint32(b[offMemorySize:], uint32(h.MemorySize))
	binary.LittleEndian.PutUint32(b[offHeadSize:], uint32(h.HeadSize))
	binary.LittleEndian.PutUint32(b[offContentSize:], uint32(h.ContentSize))
	binary.LittleEndian.PutUint32(b[offTailSize:], uint32(h.TailSize))
	binary.LittleEndian.PutUint64(b[offCRC:], h.CRC)
	binary.LittleEndian.PutUint32(b[offReserved:], uint32(h.Reserved))
	binary.LittleEndian.PutUint32(b[offPadding:], uint32(h.Padding))
	return b
}

func decodeHeader(b *[headSize]byte) (h header) {
	h.MemorySize = int32(binary.LittleEndian.Uint32(b[offMemorySize:]))
	h.HeadSize = int32(binary.LittleEndian.Uint32(b[offHeadSize:]))
	h.ContentSize = int32(binary.LittleEndian.Uint32(b[offContentSize:]))
	h.TailSize = int32(binary.LittleEndian.Uint32(b[offTailSize:]))
	h.CRC = binary.LittleEndian.Uint64(b[offCRC:])
	h.Reserved = int32(binary.LittleEndian.Uint32(b[offReserved:]))
	h.Padding = int32(binary.LittleEndian.Uint32(b[offPadding:]))
	return h
}

// tail returns the size of the tail in bytes.
func (l Layout) tail() int {
	if l == Seed {
		return seedTail
	}
	return 0
}

// around returns the bytes of a section that are not room for the content.
func (l Layout) around() int { return headSize + l.tail() }

// header returns the header of a value of size bytes in a block with room bytes for the content.
func (l Layout) header(room, size int, crc uint64) *header {
	return &header{
		MemorySize: int32(room + l.around()), HeadSize: headSize, ContentSize: int32(size), TailSize: int32(l.tail()), CRC: crc,
	}
}

// room checks the sizes in a header, except the size of the content, against the size of the
// section. It returns the size of the largest value that fits, in bytes.
func (l Layout) room(h *header, section int64) (int, error) {
	switch {
	case *h == header{}:
		return 0, fmt.Errorf("the header is empty: the program that makes the block has not written it yet, or has died: %w", samepage.ErrCorrupt)
	case l == Seed && (h.HeadSize != headSize || h.TailSize != seedTail):
		return 0, fmt.Errorf("head size %d and tail size %d, want %d and %d in layout %v: %w", h.HeadSize, h.TailSize, headSize, seedTail, l, samepage.ErrVersion)
	case h.HeadSize != headSize:
		return 0, fmt.Errorf("head size %d, want %d in layout %v: %w", h.HeadSize, headSize, l, samepage.ErrVersion)
	case h.MemorySize < int32(l.around()) || int64(h.MemorySize) > section:
		return 0, fmt.Errorf("memory size %d, want %d to %d, the size of the section: %w", h.MemorySize, l.around(), section, samepage.ErrCorrupt)
	}
	return int(h.MemorySize) - l.around(), nil
}

// size checks all sizes in a header and returns the size of the content in bytes.
func (l Layout) size(h *header, section int64) (int, error) {
	room, err := l.room(h, section)
	if err != nil {
		return 0, err
	}
	if h.ContentSize < 0 || int(h.ContentSize) > room {
		return 0, fmt.Errorf("content size %d, want at most %d: %w", h.ContentSize, room, samepage.ErrCorrupt)
	}
	return int(h.ContentSize), nil
}

// crcTable is made at start-up, so any number of goroutines may use it.
var crcTable = crc64.MakeTable(crc64.ECMA)

func checkCRC(h *header, computed uint64) error {
	if computed != h.CRC {
		return fmt.Errorf("the content of %d bytes has CRC %016x, and the header says %016x: %w", h.ContentSize, computed, h.CRC, samepage.ErrChecksum)
	}
	return nil
}
