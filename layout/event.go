package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unsafe"
)

// EventMagic starts each event block: "smpgEVNT" read as little-endian.
const EventMagic = 0x544e564567706d73

// EventVersion is the layout version that this code writes, and
// EventMinReader the oldest one whose readers understand it.
const (
	EventVersion   = 1
	EventMinReader = 1
)

// EventManual is the bit of EventBlock.Flags that makes the event
// manual-reset: it stays set until somebody resets it, and wakes all.
const EventManual = 1

// EventBlock is the whole content of an object of kind Event.
//
// The first line never changes after creation, which is atomic: nobody ever
// sees a block that is half written.
type EventBlock struct {
	Magic     uint64 //   0 EventMagic
	Version   uint32 //   8 EventVersion of the creator
	MinReader uint32 //  12 least EventVersion that may use the block
	Flags     uint32 //  16 EventManual
	CRC       uint32 //  20 CRC-32C of bytes 0..19
	_         [104]byte
	// State is a futex word. Bit 0: the event is set. Bits 1..31: a count that
	// changes whenever a sleeper has to look again for a reason other than
	// bit 0. Written by every user, by compare-and-swap only.
	State uint32 // 128
	// Sleepers is how many are, or are about to be, asleep on State. Written by
	// every user, by atomic add. It may be too high, by those that died asleep,
	// which costs a needless wake and nothing else; never too low.
	Sleepers uint32 // 132
	_        [120]byte
}

// Offsets and size of an EventBlock, in bytes.
const (
	EventStateOffset    = 128
	EventSleepersOffset = 132
	EventSize           = 256
)

// These lines stop the build when the structure is not what docs/layout.md
// says.
const (
	_ = -(unsafe.Sizeof(EventBlock{}) ^ EventSize)
	_ = -(unsafe.Offsetof(EventBlock{}.State) ^ EventStateOffset)
	_ = -(unsafe.Offsetof(EventBlock{}.Sleepers) ^ EventSleepersOffset)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewEvent returns the bytes of a new event block.
func NewEvent(manual, set bool) []byte {
	b := make([]byte, EventSize)
	le := binary.LittleEndian
	le.PutUint64(b[0:], EventMagic)
	le.PutUint32(b[8:], EventVersion)
	le.PutUint32(b[12:], EventMinReader)
	if manual {
		le.PutUint32(b[16:], EventManual)
	}
	le.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
	if set {
		le.PutUint32(b[EventStateOffset:], 1)
	}
	return b
}

// IsEvent says whether b starts like an event block.
func IsEvent(b []byte) bool {
	return len(b) >= 8 && binary.LittleEndian.Uint64(b) == EventMagic
}

// ValidateEvent checks an event block and says whether it is manual-reset. The
// caller passes a private copy of the first line, at least 24 bytes.
//
// Errors: ErrKindMismatch, ErrVersion, ErrCorrupt.
func ValidateEvent(b []byte) (manual bool, err error) {
	le := binary.LittleEndian
	if len(b) < 24 {
		return false, fmt.Errorf("event block of %d bytes, want %d: %w", len(b), EventSize, ErrKindMismatch)
	}
	if !IsEvent(b) {
		return false, fmt.Errorf("magic %#016x, an event has %#016x: %w", le.Uint64(b), uint64(EventMagic), ErrKindMismatch)
	}
	if got, want := le.Uint32(b[20:]), crc32.Checksum(b[:20], castagnoli); got != want {
		return false, fmt.Errorf("event block with CRC %#08x, computed %#08x: %w", got, want, ErrCorrupt)
	}
	if min := le.Uint32(b[12:]); min > EventVersion {
		return false, fmt.Errorf("event block of version %d for readers of version %d and later, this is version %d: %w",
			le.Uint32(b[8:]), min, EventVersion, ErrVersion)
	}
	flags := le.Uint32(b[16:])
	if flags&^EventManual != 0 {
		return false, fmt.Errorf("event block with flags %#x, known are %#x: %w", flags, EventManual, ErrCorrupt)
	}
	return flags&EventManual != 0, nil
}
