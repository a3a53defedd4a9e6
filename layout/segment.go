package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf8"
	"unsafe"
)

// EventManual is a bit of SegmentHeader.Flags. It makes an event manual-reset: the event stays
// set until somebody resets it, and lets all waiters pass. The other bits of an event are 0:
//
//	31                        1 0
//	+--------------------------+-+
//	|            0             |M|
//	+--------------------------+-+
const EventManual = 1

// SegmentMagic starts each segment: "smpgSEGM" read as little-endian.
const SegmentMagic = 0x4d47455367706d73

// SegmentVersion is the newest layout version that this code knows. Each kind has a version of its
// own, see [Kind.Version].
const SegmentVersion = 3

// SegmentFeatures are the feature bits that this code understands. A segment with any other
// feature bit is refused.
const SegmentFeatures = 0

// SegmentHeader is the first 256 bytes of a segment. It is written before anybody can open the
// segment, and never changes.
type SegmentHeader struct {
	Magic       uint64   //   0 SegmentMagic
	Version     uint32   //   8 Kind.Version of the creator
	MinReader   uint32   //  12 least version that may use the segment
	Features    uint32   //  16 bits that a user must understand
	Kind        uint32   //  20 Kind
	Size        uint64   //  24 bytes of the whole segment
	Live        uint64   //  32 offset of the words that change
	LiveSize    uint64   //  40
	Table       uint64   //  48 offset of the member table
	Members     uint32   //  56 slots of the table, 1 to MaxMembers
	Stride      uint32   //  60 MemberSize
	Payload     uint64   //  64 offset of the payload
	PayloadSize uint64   //  72 0: none
	Fingerprint uint64   //  80 of the payload's type; 0: bytes
	Created     int64    //  88 nanoseconds since 1970
	PID         uint32   //  96 process that created it
	Flags       uint32   // 100 meaning by kind
	Space       uint64   // 104 pid namespace of PID, see Member
	SchemaSize  uint32   // 112 bytes of the schema of the payload's type, which follows the header
	_           [8]byte  // 116
	CRC         uint32   // 124 CRC-32C of bytes 0..123 and 128..255
	TypeName    [64]byte // 128 of the payload's type, UTF-8, then zeros
	Creator     [64]byte // 192 name of the process that created it
}

// Member is a slot of the member table. The process that holds lock byte i writes slot i: the
// member itself, or the reaper of a dead member. Waker is the exception.
type Member struct {
	// Identity says whether the slot is in use, and which of its members this is:
	//
	//	63                          32 31                       1 0
	//	+-----------------------------+--------------------------+-+
	//	|    incarnation, 32 bits     |            0             |U|
	//	+-----------------------------+--------------------------+-+
	//
	// U is 1 while a member has the slot. RELEASE on joining: publishes the other fields.
	Identity uint64 //   0
	PID      uint32 //   8
	Role     uint32 //  12 meaning by kind
	Start    uint64 //  16 when the process started, in the system's unit
	Joined   int64  //  24 nanoseconds since 1970
	Held     uint64 //  32 what the member holds, by kind (docs/protocol/locks.md)
	// Space is the id of the pid namespace of PID: the inode number of /proc/self/ns/pid. 0: the
	// id is not known, or the system has no pid namespaces.
	Space uint64 //  40
	// Since is when the member began its wait, in nanoseconds since 1970. It is only for those who
	// look, and has a meaning while the member's bit in Sleepers is set. 0: not known.
	Since int64    //  48
	_     [72]byte //  56
	Waker uint32   // 128 futex word; each process that rings the member adds 1
	_     [60]byte // 132
	Name  [64]byte // 192 of the process, UTF-8, then zeros
}

// These are the sizes and offsets of a segment, in bytes.
const (
	SegmentHeaderSize  = 256
	MemberSize         = 256
	MemberPIDOffset    = 8
	MemberRoleOffset   = 12
	MemberStartOffset  = 16
	MemberJoinedOffset = 24
	MemberHeldOffset   = 32
	MemberSpaceOffset  = 40
	MemberSinceOffset  = 48
	MemberWakerOffset  = 128
	MemberNameOffset   = 192
	MaxMembers         = 1024
	DefaultMembers     = 64
)

// LockWords is the live region of a mutex, a reader-writer mutex, a semaphore or an event.
type LockWords struct {
	// State depends on the kind: it is the owner word (docs/protocol/locks.md), the count, or
	// whether the event is set. Every member writes it, by compare-and-swap; an event is set and
	// reset by swap.
	State uint64    //   0
	_     [120]byte //   8
	// Sleepers has a bit for each member that sleeps or is about to sleep. Only member i and its
	// reaper write bit i.
	Sleepers [16]uint64 // 128
	// The last owner that died. Its reaper writes these before it frees the lock; the next owner
	// reads them.
	DiedPID  uint32   // 256
	_        uint32   // 260
	DiedAt   int64    // 264 when the death was noticed, nanoseconds since 1970
	DiedName [64]byte // 272
	// DiedSpace is the pid namespace of DiedPID, see Member.
	DiedSpace uint64 // 336
	_         [168]byte
}

// These are the offsets and the size of LockWords, in bytes.
const (
	LockStateOffset     = 0
	LockSleepersOffset  = 128
	LockDiedPIDOffset   = 256
	LockDiedAtOffset    = 264
	LockDiedNameOffset  = 272
	LockDiedSpaceOffset = 336
	LockWordsSize       = 512
)

// These lines stop the build if the structures differ from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(SegmentHeader{}) ^ SegmentHeaderSize)
	_ = -(unsafe.Offsetof(SegmentHeader{}.Space) ^ 104)
	_ = -(unsafe.Offsetof(SegmentHeader{}.SchemaSize) ^ 112)
	_ = -(unsafe.Offsetof(SegmentHeader{}.CRC) ^ 124)
	_ = -(unsafe.Offsetof(SegmentHeader{}.Creator) ^ 192)
	_ = -(unsafe.Sizeof(Member{}) ^ MemberSize)
	_ = -(unsafe.Offsetof(Member{}.PID) ^ MemberPIDOffset)
	_ = -(unsafe.Offsetof(Member{}.Role) ^ MemberRoleOffset)
	_ = -(unsafe.Offsetof(Member{}.Start) ^ MemberStartOffset)
	_ = -(unsafe.Offsetof(Member{}.Joined) ^ MemberJoinedOffset)
	_ = -(unsafe.Offsetof(Member{}.Held) ^ MemberHeldOffset)
	_ = -(unsafe.Offsetof(Member{}.Space) ^ MemberSpaceOffset)
	_ = -(unsafe.Offsetof(Member{}.Since) ^ MemberSinceOffset)
	_ = -(unsafe.Offsetof(Member{}.Waker) ^ MemberWakerOffset)
	_ = -(unsafe.Offsetof(Member{}.Name) ^ MemberNameOffset)
	_ = -(unsafe.Sizeof(LockWords{}) ^ LockWordsSize)
	_ = -(unsafe.Offsetof(LockWords{}.Sleepers) ^ LockSleepersOffset)
	_ = -(unsafe.Offsetof(LockWords{}.DiedPID) ^ LockDiedPIDOffset)
	_ = -(unsafe.Offsetof(LockWords{}.DiedName) ^ LockDiedNameOffset)
	_ = -(unsafe.Offsetof(LockWords{}.DiedSpace) ^ LockDiedSpaceOffset)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeSegment returns the bytes of the header, with magic, version and CRC filled in.
func EncodeSegment(h *SegmentHeader) []byte {
	b := make([]byte, SegmentHeaderSize)
	le := binary.LittleEndian
	le.PutUint64(b[0:], SegmentMagic)
	v := Kind(h.Kind).Version()
	le.PutUint32(b[8:], v)
	le.PutUint32(b[12:], v)
	le.PutUint32(b[16:], h.Features)
	le.PutUint32(b[20:], h.Kind)
	le.PutUint64(b[24:], h.Size)
	le.PutUint64(b[32:], h.Live)
	le.PutUint64(b[40:], h.LiveSize)
	le.PutUint64(b[48:], h.Table)
	le.PutUint32(b[56:], h.Members)
	le.PutUint32(b[60:], MemberSize)
	le.PutUint64(b[64:], h.Payload)
	le.PutUint64(b[72:], h.PayloadSize)
	le.PutUint64(b[80:], h.Fingerprint)
	le.PutUint64(b[88:], uint64(h.Created))
	le.PutUint32(b[96:], h.PID)
	le.PutUint32(b[100:], h.Flags)
	le.PutUint64(b[104:], h.Space)
	le.PutUint32(b[112:], h.SchemaSize)
	copy(b[128:192], h.TypeName[:])
	copy(b[192:256], h.Creator[:])
	le.PutUint32(b[124:], segmentCRC(b))
	return b
}

func segmentCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:124], castagnoli), castagnoli, b[128:SegmentHeaderSize])
}

// NewLockWords returns the live region of a new lock. state is its first word.
func NewLockWords(state uint64) []byte {
	b := make([]byte, LockWordsSize)
	binary.LittleEndian.PutUint64(b, state)
	return b
}

// IsSegment says whether b starts like a segment, also if only its magic is damaged.
func IsSegment(b []byte) bool {
	if len(b) >= 8 && binary.LittleEndian.Uint64(b) == SegmentMagic {
		return true
	}
	if len(b) < SegmentHeaderSize {
		return false
	}
	whole := append([]byte(nil), b[:SegmentHeaderSize]...)
	binary.LittleEndian.PutUint64(whole, SegmentMagic)
	return binary.LittleEndian.Uint32(whole[124:]) == segmentCRC(whole)
}

// ParseSegment checks a segment's header against the kind that is expected and the real size of
// the memory. b is a private copy of the header. All regions of the result lie within size and do
// not overlap.
//
// Errors: ErrKindMismatch (an undamaged header of another kind, or bytes that are not a segment),
// ErrVersion (with both versions), ErrCorrupt.
func ParseSegment(b []byte, kind Kind, size int64) (*SegmentHeader, error) {
	le := binary.LittleEndian
	if !IsSegment(b) {
		return nil, fmt.Errorf("%d bytes that are not a segment: %w", size, ErrKindMismatch)
	}
	if len(b) < SegmentHeaderSize {
		return nil, fmt.Errorf("segment of %d bytes, but a segment header has %d: %w", size, SegmentHeaderSize, ErrCorrupt)
	}
	if m := le.Uint64(b); m != SegmentMagic {
		return nil, fmt.Errorf("segment with magic %#016x, want %#016x: %w", m, uint64(SegmentMagic), ErrCorrupt)
	}
	if min := le.Uint32(b[12:]); min > SegmentVersion {
		return nil, fmt.Errorf("segment of version %d for readers of version %d and later, but this program has version %d: %w",
			le.Uint32(b[8:]), min, SegmentVersion, ErrVersion)
	}
	if got, want := le.Uint32(b[124:]), segmentCRC(b); got != want {
		return nil, fmt.Errorf("segment header has CRC %#08x, but its bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	h := &SegmentHeader{
		Magic: SegmentMagic, Version: le.Uint32(b[8:]), MinReader: le.Uint32(b[12:]),
		Features: le.Uint32(b[16:]), Kind: le.Uint32(b[20:]), Size: le.Uint64(b[24:]),
		Live: le.Uint64(b[32:]), LiveSize: le.Uint64(b[40:]), Table: le.Uint64(b[48:]),
		Members: le.Uint32(b[56:]), Stride: le.Uint32(b[60:]), Payload: le.Uint64(b[64:]), PayloadSize: le.Uint64(b[72:]),
		Fingerprint: le.Uint64(b[80:]), Created: int64(le.Uint64(b[88:])), PID: le.Uint32(b[96:]), Flags: le.Uint32(b[100:]), Space: le.Uint64(b[104:]),
		SchemaSize: le.Uint32(b[112:]), CRC: le.Uint32(b[124:]), TypeName: [64]byte(b[128:192]), Creator: [64]byte(b[192:256]),
	}
	if h.Features&^SegmentFeatures != 0 {
		return nil, fmt.Errorf("segment of version %d has features %#x, but this program has version %d with features %#x: %w",
			h.Version, h.Features, SegmentVersion, SegmentFeatures, ErrVersion)
	}
	if Kind(h.Kind) != kind {
		return nil, fmt.Errorf("it is of kind %v, want %v: %w", Kind(h.Kind), kind, ErrKindMismatch)
	}
	if v := kind.Version(); h.Version < v || h.MinReader > v {
		return nil, fmt.Errorf("%v of version %d for readers of version %d and later, but this program has version %d of it: %w",
			kind, h.Version, h.MinReader, v, ErrVersion)
	}
	if h.Size > uint64(size) || h.Members == 0 || h.Members > MaxMembers || h.Stride != MemberSize {
		return nil, fmt.Errorf("segment of %d bytes in a memory of %d has %d members of %d bytes, want 1 to %d members of %d bytes: %w",
			h.Size, size, h.Members, h.Stride, MaxMembers, MemberSize, ErrCorrupt)
	}
	// The regions lie in ascending order, and each begins on a line of 128 bytes.
	if h.SchemaSize > MaxSchema {
		return nil, fmt.Errorf("segment has a schema of %d bytes, want at most %d: %w", h.SchemaSize, MaxSchema, ErrCorrupt)
	}
	end := SegmentHeaderSize + uint64(h.SchemaSize)
	for _, r := range []struct{ off, n uint64 }{
		{h.Live, h.LiveSize},
		{h.Table, uint64(h.Members) * MemberSize},
		{h.Payload, h.PayloadSize},
	} {
		if r.n == 0 && r.off == 0 {
			continue
		}
		if r.off%128 != 0 || r.off < end || r.off > h.Size || r.n > h.Size-r.off {
			return nil, fmt.Errorf("segment of %d bytes has a region of %d bytes at %d, but the region before ends at %d: %w", h.Size, r.n, r.off, end, ErrCorrupt)
		}
		end = r.off + r.n
	}
	if h.Table == 0 {
		return nil, fmt.Errorf("segment has no member table: %w", ErrCorrupt)
	}
	return h, nil
}

// Text is the string in a field of fixed width: the bytes before the first zero. Bytes that are
// not UTF-8 and characters that cannot be printed are replaced.
func Text(b []byte) string {
	n := 0
	for n < len(b) && b[n] != 0 {
		n++
	}
	out := make([]rune, 0, n)
	for _, r := range string(b[:n]) {
		if r < ' ' || r == 0x7f {
			r = utf8.RuneError
		}
		out = append(out, r)
	}
	return string(out)
}

// PutText stores s into a field of fixed width. If s is too long, it is cut between two runes.
func PutText(b []byte, s string) { clear(b[copy(b, CutText(s, len(b))):]) }

// CutText returns the first bytes of s, at most n of them. It cuts s between two runes.
func CutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Owner is the word that names the member that holds a lock, or writes to a lane. It is 0 if
// there is no such member and Dirty is not set. docs/protocol/locks.md says who changes it.
type Owner uint64

// These are the bits of an Owner:
//
//	63          48 47                          16 15  13 12 11 10             0
//	+-------------+------------------------------+------+--+--+---------------+
//	|      0      |    incarnation, 32 bits      |   0  |H |D | slot + 1      |
//	+-------------+------------------------------+------+--+--+---------------+
//
// D is Dirty, H is HeldBit. If slot + 1 is 0, the word names nobody.
const (
	Dirty     Owner = 1 << 11 // an owner died while holding it, and nobody has called Consistent since
	HeldBit   Owner = 1 << 12 // the owner holds it
	ownerSlot       = 1<<11 - 1
)

// OwnerOf is the word that names a member.
func OwnerOf(slot int, incarnation uint32) Owner {
	return Owner(slot+1) | Owner(incarnation)<<16
}

// Slot is the slot of the owner, or -1 if there is none.
func (o Owner) Slot() int { return int(o&ownerSlot) - 1 }

// Incarnation is the incarnation of the owner.
func (o Owner) Incarnation() uint32 { return uint32(o >> 16) }

// Names says whether o and p name the same member.
func (o Owner) Names(p Owner) bool { return o&^(Dirty|HeldBit) == p&^(Dirty|HeldBit) }

// Free says whether the word names nobody.
func (o Owner) Free() bool { return o&ownerSlot == 0 }
