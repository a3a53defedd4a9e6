package layout

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// PackHeader is the begin of each payload in a topic whose LaneConfig has a Pack. Such a payload
// is a pack: several messages with numbers that follow each other.
//
// If Size is not 0, each message of the pack has Size bytes. Message i begins Size * i bytes after
// the header, where Size is rounded up to a multiple of 8:
//
//	+--------+-----------+--+-----------+--+-----------+
//	| header | message 0 |  | message 1 |  | message 2 |
//	+--------+-----------+--+-----------+--+-----------+
//
// If Size is 0, the lengths of all messages follow the header, as words of 32 bits. Each message
// begins at a multiple of 8 after the one before:
//
//	+--------+---------+--+-----------+--+---------+--------------+
//	| header | lengths |  | message 0 |  | mess. 1 |  message 2   |
//	+--------+---------+--+-----------+--+---------+--------------+
type PackHeader struct {
	First uint64 //  0 number of the first message
	Count uint32 //  8 messages in the pack
	Size  uint32 // 12 bytes of each message; 0: their lengths follow
}

const (
	PackHeaderSize = 16
	PackAlign      = 8 // alignment of each message in a pack

	// MaxPack is the largest LaneConfig.Pack, in bytes: a payload has less than 2^32.
	MaxPack = 1<<32 - PackHeaderSize - PackAlign

	// MaxNumber is a number that no message ever has.
	MaxNumber = 1 << 62
)

// These lines stop the build if the structure differs from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(PackHeader{}) ^ PackHeaderSize)
	_ = -(unsafe.Offsetof(PackHeader{}.Size) ^ 12)
)

// PackAligned is n rounded up to a multiple of PackAlign. n is at most MaxPack.
func PackAligned(n uint32) uint32 { return (n + PackAlign - 1) &^ (PackAlign - 1) }

// Begin is the offset of message 0 in the pack.
//
// Preconditions:
//   - h comes from ParsePack, or its Count messages fit into MaxPack bytes.
func (h *PackHeader) Begin() uint32 {
	if h.Size > 0 {
		return PackHeaderSize
	}
	return PackHeaderSize + PackAligned(4*h.Count)
}

// Put writes h to the begin of b.
func (h *PackHeader) Put(b []byte) {
	_ = b[PackHeaderSize-1]
	binary.LittleEndian.PutUint64(b, h.First)
	binary.LittleEndian.PutUint32(b[8:], h.Count)
	binary.LittleEndian.PutUint32(b[12:], h.Size)
}

// PutPackLength writes the length of message i.
//
// Preconditions:
//   - The Size of the pack in b is 0, and i is less than its Count.
func PutPackLength(b []byte, i, n uint32) {
	binary.LittleEndian.PutUint32(b[PackHeaderSize+4*i:], n)
}

// ParsePack reads and checks the header of the pack b, whose messages have at most largest bytes.
// It loads each word of b once. b may be changed by others meanwhile.
//
// If Size is not 0, all messages lie in b. Otherwise only the lengths do: see PackLength.
//
// Preconditions:
//   - b has at most PackHeaderSize + MaxPack bytes.
//
// Errors: ErrCorrupt.
func ParsePack(b []byte, largest uint32) (PackHeader, error) {
	if len(b) < PackHeaderSize {
		return PackHeader{}, fmt.Errorf("a pack of %d bytes, want at least %d: %w", len(b), PackHeaderSize, ErrCorrupt)
	}
	h := PackHeader{
		First: binary.LittleEndian.Uint64(b), Count: binary.LittleEndian.Uint32(b[8:]), Size: binary.LittleEndian.Uint32(b[12:]),
	}
	if h.First-1 >= MaxNumber-1 { // also 0
		return PackHeader{}, fmt.Errorf("a pack begins at message %d, want 1 to %d: %w", h.First, uint64(MaxNumber-1), ErrCorrupt)
	}
	rest := uint64(len(b) - PackHeaderSize)
	need := 4 * uint64(h.Count)
	if h.Size > 0 {
		need = uint64(h.Count-1)*uint64(PackAligned(min(h.Size, largest))) + uint64(h.Size)
	}
	if h.Count == 0 || h.Size > largest || need > rest {
		return PackHeader{}, fmt.Errorf("a pack has %d messages of %d bytes each (0: different sizes) in %d bytes, want at least one message, of at most %d bytes: %w", h.Count, h.Size, rest, largest, ErrCorrupt)
	}
	return h, nil
}

// PackLength returns the length of message i in the pack b, where the message begins at offset at.
// The next message begins at the offset at + PackAligned(length).
//
// Preconditions:
//   - ParsePack has returned a Size of 0 for b, and i is less than Count.
//   - at is Begin, or what PackLength of the message before gave.
//
// Errors: ErrCorrupt.
func PackLength(b []byte, i, at, largest uint32) (uint32, error) {
	n := binary.LittleEndian.Uint32(b[PackHeaderSize+4*i:])
	if n > largest || uint64(at)+uint64(n) > uint64(len(b)) {
		return 0, badPackLength(b, i, n, at, largest)
	}
	return n, nil
}

func badPackLength(b []byte, i, n, at, largest uint32) error {
	return fmt.Errorf("message %d of a pack has %d bytes, want at most %d, and begins at byte %d of %d: %w", i, n, largest, at, len(b), ErrCorrupt)
}
