package legacy

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"

	"samepage"
)

// Names of the two layouts.
const (
	seedSection = "ShareMemoryMap-"
	seedLock    = "ShareMemoryLockedFile-"
	headSection = "SMM-"
	headLock    = "SMLF-"
	lockEnding  = ".mdb"
)

// The header, little-endian at offset 0 of the section. The content follows it, and
// then, in the older layout only, the tail: one zero byte. All of it is written under
// the write lock, and every writer may write every word.
const (
	headSize = 32
	seedTail = 1

	offMemorySize  = 0
	offHeadSize    = 4
	offContentSize = 8
	offTailSize    = 12 // the newer one has padding there
	offCRC         = 16
	offReserved    = 24
	offPadding     = 28
)

// shareHeader is the header's content.
type shareHeader struct {
	MemorySize  int32  // header, room and tail, in bytes
	HeadSize    int32  // 32
	ContentSize int32  // of the value, in bytes; 0 before the first one
	TailSize    int32  // 1; newer: any value
	CRC         uint64 // CRC-64/XZ of the content
	Reserved    int32
	Padding     int32
}

func (h *shareHeader) encode() []byte {
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

func decodeShareHeader(b *[headSize]byte) (h shareHeader) {
	h.MemorySize = int32(binary.LittleEndian.Uint32(b[offMemorySize:]))
	h.HeadSize = int32(binary.LittleEndian.Uint32(b[offHeadSize:]))
	h.ContentSize = int32(binary.LittleEndian.Uint32(b[offContentSize:]))
	h.TailSize = int32(binary.LittleEndian.Uint32(b[offTailSize:]))
	h.CRC = binary.LittleEndian.Uint64(b[offCRC:])
	h.Reserved = int32(binary.LittleEndian.Uint32(b[offReserved:]))
	h.Padding = int32(binary.LittleEndian.Uint32(b[offPadding:]))
	return h
}

// tail is the size of the tail.
func (l ShareMemoryLayout) tail() int {
	if l == ShareMemorySeed {
		return seedTail
	}
	return 0
}

// around is what a section has besides room for the content, in bytes.
func (l ShareMemoryLayout) around() int { return headSize + l.tail() }

// header is that of a value in a block with so much room.
func (l ShareMemoryLayout) header(room, size int, crc uint64) *shareHeader {
	return &shareHeader{
		MemorySize: int32(room + l.around()), HeadSize: headSize, ContentSize: int32(size), TailSize: int32(l.tail()), CRC: crc,
	}
}

// room checks the sizes of a header but for the content's, in a section of so many
// bytes, and returns how many bytes of content there is room for.
func (l ShareMemoryLayout) room(h *shareHeader, section int64) (int, error) {
	switch {
	case *h == shareHeader{}:
		return 0, fmt.Errorf("no header yet: whoever makes it has not come so far, or died: %w", samepage.ErrCorrupt)
	case l == ShareMemorySeed && (h.HeadSize != headSize || h.TailSize != seedTail):
		return 0, fmt.Errorf("head size %d and tail size %d, layout %v has %d and %d: %w", h.HeadSize, h.TailSize, l, headSize, seedTail, samepage.ErrVersion)
	case h.HeadSize != headSize:
		return 0, fmt.Errorf("head size %d, layout %v has %d: %w", h.HeadSize, l, headSize, samepage.ErrVersion)
	case h.MemorySize < int32(l.around()) || int64(h.MemorySize) > section:
		return 0, fmt.Errorf("memory size %d, want %d to the %d of the section: %w", h.MemorySize, l.around(), section, samepage.ErrCorrupt)
	}
	return int(h.MemorySize) - l.around(), nil
}

// size checks all sizes of a header, and returns the content's.
func (l ShareMemoryLayout) size(h *shareHeader, section int64) (int, error) {
	room, err := l.room(h, section)
	if err != nil {
		return 0, err
	}
	if h.ContentSize < 0 || int(h.ContentSize) > room {
		return 0, fmt.Errorf("content size %d of a room of %d: %w", h.ContentSize, room, samepage.ErrCorrupt)
	}
	return int(h.ContentSize), nil
}

// crcTable is made before anybody computes, so many may at a time.
var crcTable = crc64.MakeTable(crc64.ECMA)

func checkCRC(h *shareHeader, computed uint64) error {
	if computed != h.CRC {
		return fmt.Errorf("content of %d bytes has CRC %016x, the header says %016x: %w", h.ContentSize, computed, h.CRC, samepage.ErrChecksum)
	}
	return nil
}
