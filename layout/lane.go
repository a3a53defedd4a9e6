package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"math/bits"
	"unsafe"
)

// LaneConfig says how the lanes of a topic or the slots of a cell are laid out. It is written
// before anybody can open the segment, and never changes.
type LaneConfig struct {
	Lanes      uint32 //  0 lanes; a cell: 0
	Entries    uint32 //  4 N: entries of a lane's ring; a cell: 0
	Step       uint32 //  8 D: messages between two looks at the cursors; a cell: K, values that are kept
	Slots      uint32 // 12 S: slots of a lane
	SlotSize   uint64 // 16 bytes of a slot with its header, a multiple of 128
	MaxSize    uint64 // 24 bytes of the largest payload; with Pack: of a pack with its header
	Readers    uint32 // 32 R: slots of the member table
	Pins       uint32 // 36 P: pin words of a member
	Loans      uint32 // 40 largest number of slots that a writer may have on loan at a time
	Flags      uint32 // 44 LaneChecksum, LaneTime
	EvictAfter int64  // 48 nanoseconds that a reliable reader may keep the writer waiting; 0: no limit
	Pack       uint32 // 56 bytes of the messages of a pack (PackHeader); 0: payloads are not packs
	Message    uint32 // 60 bytes of the largest message in a pack; 0 without Pack
	Named      uint32 // 64 places of named readers; a cell: 0
	_          [56]byte
	CRC        uint32 // 124 CRC-32C of bytes 0..123
}

// Bits of LaneConfig.Flags:
//
//	31                      2 1 0
//	+------------------------+-+-+
//	|           0            |T|S|
//	+------------------------+-+-+
//
// S is LaneChecksum, T is LaneTime.
const (
	LaneChecksum  = 1 // messages carry the CRC-32C of their payload
	LaneTime      = 2 // messages carry the time of their publication
	laneFlagsMask = LaneChecksum | LaneTime
)

// LaneWords are the words of one lane. docs/protocol/lane.md says who writes them, and in which
// order.
//
// Ends counts how often the stream of the lane has ended:
//
//	63                          32 31                          0
//	+-----------------------------+-----------------------------+
//	| by death, or by Abort       | normally, by Close          |
//	+-----------------------------+-----------------------------+
//
// Three words lie outside of this structure, because their number depends on LaneConfig. There is
// one Evicted for each lane and member:
//
//	63                          32 31                          0
//	+-----------------------------+-----------------------------+
//	| incarnation of the member   | 1 + the slot kept for it    |
//	+-----------------------------+-----------------------------+
//
// There are several pins for each member: 1 + the slot's number, counted through all lanes. In
// both words, 0 means none. And for each lane (a cell has one) and member there is one Keeps: for
// how many messages that the member keeps it has reserved space.
type LaneWords struct {
	Owner   uint64     //   0 an Owner without Dirty and HeldBit
	Ends    uint64     //   8
	Waits   uint64     //  16 1 while the writer waits for readers
	Retired uint64     //  24 of lane 0: not 0 if the topic was retired
	_       [96]byte   //  32
	Head    uint64     // 128
	Limit   uint64     // 136
	Number  uint64     // 144 of the next message, in a topic with packs
	Used    uint64     // 152 slots 0 to Used - 1 have space
	Bytes   uint64     // 160 of all messages; only for those who look
	_       [88]byte   // 168
	Readers [16]uint64 // 256
}

// CellWords are the words of a cell. They take the place of a lane's words.
//
// Current names the latest value. 0 means that there is no value yet:
//
//	63                                            20 19                  0
//	+-----------------------------------------------+---------------------+
//	| lower 44 bits of the value's generation       | slot                |
//	+-----------------------------------------------+---------------------+
type CellWords struct {
	Owner   uint64    //   0 an Owner without Dirty and HeldBit: the member that writes now
	Writer  uint64    //   8 an Owner without Dirty and HeldBit: the member that wrote last
	_       [112]byte //  16
	Current uint64    // 128
	_       [16]byte  // 136
	Used    uint64    // 152 as in LaneWords
	_       [96]byte  // 160
}

// CursorLine has the words that a member writes for one lane.
type CursorLine struct {
	Cursor      uint64    // 0
	Incarnation uint64    // 8
	_           [112]byte // 16
}

// NamedReader is the place of a named reader. After it come the numbers of the messages that the
// reader wants next, one of 8 bytes for each lane; 0: it has acknowledged none.
type NamedReader struct {
	Owner uint64 // 0 an Owner without Dirty and HeldBit: the member that reads under this name
	Key   uint64 // 8 of the name, see NameKey; 0: the place is free. It never changes again
}

// NameKey returns the Key of a named reader.
func NameKey(name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return max(h.Sum64(), 1)
}

// Entry is an entry of a lane's ring.
type Entry struct {
	Sequence uint64 //  0
	Slot     uint32 //  8
	_        [4]byte
}

// SlotHeader precedes each payload. The payload begins on the same line of 128 bytes, so one line
// has everything that a reader needs to know about a small message.
type SlotHeader struct {
	Generation uint64  //  0
	Length     uint32  //  8
	Sum        uint32  // 12
	Time       int64   // 16
	Next       uint32  // 24 a cell: 0
	_          [4]byte // 28
}

// These are the sizes and offsets of the lane's structures, in bytes, and of the regions that do
// not depend on LaneConfig.
const (
	LaneConfigOffset = 256 // in the live region, after Sleepers
	LaneConfigSize   = 128
	LaneWordsOffset  = LaneConfigOffset + LaneConfigSize

	LaneWordsSize     = 384
	LaneEndsOffset    = 8
	LaneWaitsOffset   = 16
	LaneRetiredOffset = 24
	LaneHeadOffset    = 128
	LaneLimitOffset   = 136
	LaneNumberOffset  = 144
	LaneUsedOffset    = 152
	LaneBytesOffset   = 160
	LaneReadersOffset = 256

	CellWordsSize     = 256
	CellWriterOffset  = 8
	CellCurrentOffset = 128

	NamedReaderSize = 16
	NamedKeyOffset  = 8

	CursorLineSize          = 128
	CursorIncarnationOffset = 8

	EntrySize       = 16
	EntrySlotOffset = 8

	SlotHeaderSize   = 32
	SlotLengthOffset = 8
	SlotSumOffset    = 12
	SlotTimeOffset   = 16
	SlotNextOffset   = 24

	// PayloadAlign is the alignment of a segment's payload. So every system can map the payload
	// alone.
	PayloadAlign = 64 << 10

	MaxLanes    = 64
	MaxEntries  = 1 << 20
	MaxSlots    = 1 << 20 // Current of a cell has 20 bits for a slot
	MaxPins     = 1 << 10
	MaxLoans    = 1 << 16
	MaxNamed    = 1 << 10
	MaxSlotSize = 1 << 40
)

// These lines stop the build if the structures differ from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(LaneConfig{}) ^ LaneConfigSize)
	_ = -(unsafe.Offsetof(LaneConfig{}.Pack) ^ 56)
	_ = -(unsafe.Offsetof(LaneConfig{}.CRC) ^ 124)
	_ = -(unsafe.Sizeof(LaneWords{}) ^ LaneWordsSize)
	_ = -(unsafe.Offsetof(LaneWords{}.Retired) ^ LaneRetiredOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Head) ^ LaneHeadOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Limit) ^ LaneLimitOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Number) ^ LaneNumberOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Readers) ^ LaneReadersOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Used) ^ LaneUsedOffset)
	_ = -(unsafe.Offsetof(LaneWords{}.Bytes) ^ LaneBytesOffset)
	_ = -(unsafe.Sizeof(CellWords{}) ^ CellWordsSize)
	_ = -(unsafe.Offsetof(CellWords{}.Used) ^ LaneUsedOffset)
	_ = -(unsafe.Offsetof(CellWords{}.Current) ^ CellCurrentOffset)
	_ = -(unsafe.Sizeof(NamedReader{}) ^ NamedReaderSize)
	_ = -(unsafe.Offsetof(NamedReader{}.Key) ^ NamedKeyOffset)
	_ = -(unsafe.Offsetof(LaneConfig{}.Named) ^ 64)
	_ = -(unsafe.Sizeof(CursorLine{}) ^ CursorLineSize)
	_ = -(unsafe.Sizeof(Entry{}) ^ EntrySize)
	_ = -(unsafe.Offsetof(Entry{}.Slot) ^ EntrySlotOffset)
	_ = -(unsafe.Sizeof(SlotHeader{}) ^ SlotHeaderSize)
	_ = -(unsafe.Offsetof(SlotHeader{}.Time) ^ SlotTimeOffset)
	_ = -(unsafe.Offsetof(SlotHeader{}.Next) ^ SlotNextOffset)
)

// LaneOffsets say where the parts of lanes lie, in bytes: Words, Evicted, Cursors, Keeps, Pins
// and Named in the live region, entries and slots in the payload. The entries of all lanes come
// before all slots, and the entries of lane 0 are at 0.
type LaneOffsets struct {
	Words    uint64 // of lane 0; each lane has LaneWordsSize bytes (a cell: CellWordsSize)
	Evicted  uint64 // of lane 0, member 0; each member has 8 bytes
	Cursors  uint64 // of lane 0, member 0; each member has CursorLineSize bytes
	Keeps    uint64 // of lane 0, member 0; each member has 8 bytes
	Row      uint64 // bytes from one lane to the next, in Evicted and Keeps
	Pins     uint64 // of member 0
	PinRow   uint64 // bytes from one member to the next
	Named    uint64 // of place 0
	NamedRow uint64 // bytes from one place to the next; 0 if there are none
	Live     uint64 // bytes of the live region
	Entries  uint64 // bytes from the entries of one lane to those of the next
	Slots    uint64 // slots of lane 0
	Lane     uint64 // bytes from the slots of one lane to those of the next
	Payload  uint64 // bytes of the payload
}

func lines(n uint64) uint64 { return (n + 127) &^ 127 }

// Offsets checks c and computes the offsets. For a cell Lanes and Entries are 0.
//
// Errors: ErrCorrupt.
func (c *LaneConfig) Offsets() (*LaneOffsets, error) {
	lanes := uint64(c.Lanes)
	bad := func(what string, v, least, most uint64) error {
		return fmt.Errorf("lane settings have %s %d, want %d to %d: %w", what, v, least, most, ErrCorrupt)
	}
	for _, x := range []struct {
		what           string
		v, least, most uint64
	}{
		{"Lanes", lanes, 0, MaxLanes},
		{"SlotSize", c.SlotSize, SlotHeaderSize, MaxSlotSize},
		{"MaxSize", c.MaxSize, 0, c.SlotSize - SlotHeaderSize},
		{"Readers", uint64(c.Readers), 1, MaxMembers},
		{"Pins", uint64(c.Pins), 1, MaxPins},
		{"Loans", uint64(c.Loans), 1, MaxLoans},
		{"Slots", uint64(c.Slots), 1, MaxSlots},
		{"EvictAfter", uint64(c.EvictAfter), 0, 1 << 62},
		{"Flags", uint64(c.Flags), 0, laneFlagsMask},
		{"Named", uint64(c.Named), 0, min(lanes, 1) * MaxNamed},
	} {
		if x.v < x.least || x.v > x.most {
			return nil, bad(x.what, x.v, x.least, x.most)
		}
	}
	if c.SlotSize%128 != 0 || c.MaxSize > 1<<32-1 {
		return nil, fmt.Errorf("lane settings have slots of %d bytes, want a multiple of 128, for payloads of %d bytes, want less than 2^32: %w", c.SlotSize, c.MaxSize, ErrCorrupt)
	}
	if err := c.checkPack(); err != nil {
		return nil, err
	}
	words := uint64(CellWordsSize)
	if lanes == 0 {
		if c.Entries != 0 {
			return nil, bad("Entries", uint64(c.Entries), 0, 0)
		}
		lanes = 1
	} else {
		words = lanes * LaneWordsSize
		if c.Entries < 2 || c.Entries > MaxEntries || c.Step < 1 || c.Step >= c.Entries {
			return nil, fmt.Errorf("lane settings have %d entries, want 2 to %d, and a step of %d, want 1 or more and less than the entries: %w", c.Entries, MaxEntries, c.Step, ErrCorrupt)
		}
	}
	if least := c.LeastSlots(); uint64(c.Slots) < least {
		return nil, bad("Slots", uint64(c.Slots), least, MaxSlots)
	}
	o := &LaneOffsets{Words: LaneWordsOffset, Row: lines(uint64(c.Readers) * 8), PinRow: lines(uint64(c.Pins) * 8)}
	end := o.Words + words
	if c.Lanes > 0 {
		o.Evicted = end
		o.Cursors = o.Evicted + lanes*o.Row
		end = o.Cursors + lanes*uint64(c.Readers)*CursorLineSize
	}
	o.Keeps = end
	o.Pins = o.Keeps + lanes*o.Row
	o.Named = o.Pins + uint64(c.Readers)*o.PinRow
	if c.Named > 0 {
		o.NamedRow = lines(NamedReaderSize + lanes*8)
	}
	o.Live = o.Named + uint64(c.Named)*o.NamedRow
	o.Entries = lines(uint64(c.Entries) * EntrySize)
	o.Slots = lanes * o.Entries
	hi, n := bits.Mul64(uint64(c.Slots), c.SlotSize)
	if hi != 0 || n > 1<<56 {
		return nil, fmt.Errorf("lane settings have %d slots of %d bytes, too many bytes: %w", c.Slots, c.SlotSize, ErrCorrupt)
	}
	o.Lane = n
	o.Payload = o.Slots + lanes*o.Lane
	return o, nil
}

func (c *LaneConfig) checkPack() error {
	if c.Pack == 0 && c.Message == 0 {
		return nil
	}
	if c.Lanes == 0 || c.Pack > MaxPack || c.Message == 0 || c.Message > c.Pack || PackAligned(c.Message) > c.Pack || c.MaxSize != PackHeaderSize+uint64(c.Pack) {
		return fmt.Errorf("lane settings have %d lanes with packs of %d bytes, messages of %d, payloads of %d: %w", c.Lanes, c.Pack, c.Message, c.MaxSize, ErrCorrupt)
	}
	return nil
}

// Largest is the largest message or value, in bytes.
func (c *LaneConfig) Largest() uint64 {
	if c.Pack > 0 {
		return uint64(c.Message)
	}
	return c.MaxSize
}

// LeastSlots is the least number of slots with which one slot is always free
// (docs/protocol/lane.md, Reclaiming).
func (c *LaneConfig) LeastSlots() uint64 {
	n := uint64(c.Entries) + uint64(c.Loans) + uint64(c.Readers)*uint64(c.Pins)
	if c.Lanes == 0 {
		n += uint64(c.Step) + 1
	} else if c.EvictAfter > 0 {
		n += uint64(c.Readers)
	}
	return n
}

// WriterSlots is the number of slots that a writer needs while nobody keeps a message: for all
// entries (a cell: for all former values and the latest), for one loan, and the spare ones. For
// each message that a member may keep, it needs one more, up to Slots.
func (c *LaneConfig) WriterSlots() uint64 {
	n := uint64(c.Entries) + 1 + uint64(c.Slots) - c.LeastSlots()
	if c.Lanes == 0 {
		n += uint64(c.Step) + 1
	}
	return n
}

// EncodeLaneConfig returns the bytes of c, with the CRC filled in.
func EncodeLaneConfig(c *LaneConfig) []byte {
	b := make([]byte, LaneConfigSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], c.Lanes)
	le.PutUint32(b[4:], c.Entries)
	le.PutUint32(b[8:], c.Step)
	le.PutUint32(b[12:], c.Slots)
	le.PutUint64(b[16:], c.SlotSize)
	le.PutUint64(b[24:], c.MaxSize)
	le.PutUint32(b[32:], c.Readers)
	le.PutUint32(b[36:], c.Pins)
	le.PutUint32(b[40:], c.Loans)
	le.PutUint32(b[44:], c.Flags)
	le.PutUint64(b[48:], uint64(c.EvictAfter))
	le.PutUint32(b[56:], c.Pack)
	le.PutUint32(b[60:], c.Message)
	le.PutUint32(b[64:], c.Named)
	le.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

// ParseLaneConfig reads and checks a LaneConfig. b is a private copy of it.
//
// Errors: ErrCorrupt.
func ParseLaneConfig(b []byte) (*LaneConfig, *LaneOffsets, error) {
	if len(b) < LaneConfigSize {
		return nil, nil, fmt.Errorf("lane settings of %d bytes, want %d: %w", len(b), LaneConfigSize, ErrCorrupt)
	}
	le := binary.LittleEndian
	if got, want := le.Uint32(b[124:]), crc32.Checksum(b[:124], castagnoli); got != want {
		return nil, nil, fmt.Errorf("lane settings have CRC %#08x, but their bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	c := &LaneConfig{
		Lanes: le.Uint32(b[0:]), Entries: le.Uint32(b[4:]), Step: le.Uint32(b[8:]), Slots: le.Uint32(b[12:]),
		SlotSize: le.Uint64(b[16:]), MaxSize: le.Uint64(b[24:]), Readers: le.Uint32(b[32:]), Pins: le.Uint32(b[36:]),
		Loans: le.Uint32(b[40:]), Flags: le.Uint32(b[44:]), EvictAfter: int64(le.Uint64(b[48:])), Pack: le.Uint32(b[56:]),
		Message: le.Uint32(b[60:]), Named: le.Uint32(b[64:]), CRC: le.Uint32(b[124:]),
	}
	o, err := c.Offsets()
	return c, o, err
}
