package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"samepage"
	"samepage/layout"
)

// An envelope is one message of NATS (docs/protocol/bridge.md). It has this header, and then its
// body:
//
//	 0  uint32  magic
//	 4  uint32  CRC-32C of all bytes that follow
//	 8  uint8   kind
//	 9  uint8   flags
//	10  uint16  0
//	12  uint32  session: a random number of the publishing bridge
//	16  uint64  number: of the envelope in its session and topic; see window
//	24  [16]    ID of the topic at its origin
//
// All numbers are little-endian.
const (
	magic      = 'S' | 'P'<<8 | 'B'<<16 | 1<<24 // 1 is the version
	headerSize = 40
)

// kind says what is in an envelope.
type kind uint8

const (
	kindOpen     kind = iota + 1 // Meta in JSON; it is also sent when a bridge asks for it
	kindMessages                 // runs of messages
	kindPart                     // a part of one message
	kindEnd                      // positions: the last publisher has ended its stream
	kindDeath                    // positions: publishers have died
	kindTick                     // positions: time has passed
	kindValue                    // a value of a cell, or a part of it
	kindOver                     // positions: the topic is gone, or the bridge stops; of a cell: see cells.go
	kindPicture                  // a part of a message that crosses as a JPEG, see appendPicture
)

// carries says whether an envelope has messages.
func (k kind) carries() bool { return k == kindMessages || k == kindPart || k == kindPicture }

const (
	flagZstd = 1 << iota // the body is compressed
	flagBye              // of kindOver: the publishing bridge stops before the end of the stream
	flagEnd              // of kindTick: the last publisher has ended its stream
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// envelope is the header of an envelope, and its body.
type envelope struct {
	kind    kind
	flags   uint8
	session uint32
	number  uint64
	id      samepage.ID
	body    []byte
}

// seal writes the header into the first bytes of b, whose body is complete.
func (e *envelope) seal(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], magic)
	b[8], b[9], b[10], b[11] = byte(e.kind), e.flags, 0, 0
	le.PutUint32(b[12:], e.session)
	le.PutUint64(b[16:], e.number)
	copy(b[24:], e.id[:])
	le.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
}

var errEnvelope = errors.New("not an envelope of a bridge, or damaged")

// parse reads an envelope.
func parse(b []byte) (e envelope, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < headerSize:
		return e, fmt.Errorf("%d bytes, want at least %d: %w", len(b), headerSize, errEnvelope)
	case le.Uint32(b)&0xffffff != magic&0xffffff:
		return e, fmt.Errorf("it begins with % x: %w", b[:4], errEnvelope)
	case b[3] != magic>>24:
		return e, fmt.Errorf("version %d, this bridge has version %d: %w", b[3], magic>>24, samepage.ErrVersion)
	case le.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli):
		return e, fmt.Errorf("the checksum is wrong: %w", samepage.ErrChecksum)
	}
	e = envelope{kind: kind(b[8]), flags: b[9], session: le.Uint32(b[12:]), number: le.Uint64(b[16:]), body: b[headerSize:]}
	copy(e.id[:], b[24:])
	return e, nil
}

// run is a number of messages of one place, one size and one time whose numbers follow each other.
// In an envelope it has this header, and then the bytes of the messages:
//
//	 0  uint8   place of the publisher
//	 4  uint32  count: at least 1, and 1 if the size is 0
//	 8  uint32  size of each message
//	16  uint64  number of the first message
//	24  int64   time, in nanoseconds since 1970; 0: none
type run struct {
	place       int
	count, size uint32
	seq         uint64
	time        int64
	bytes       []byte
}

const runSize = 32

// appendRun appends the header of a run.
func appendRun(b []byte, r *run) []byte {
	le := binary.LittleEndian
	b = append(b, byte(r.place), 0, 0, 0)
	b = le.AppendUint32(b, r.count)
	b = le.AppendUint32(b, r.size)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, r.seq)
	return le.AppendUint64(b, uint64(r.time))
}

// setCount changes the count of a run whose header begins at b.
func setCount(b []byte, n uint32) { binary.LittleEndian.PutUint32(b[4:], n) }

// nextRun cuts a run from the begin of b.
func nextRun(b []byte) (r run, rest []byte, err error) {
	le := binary.LittleEndian
	if len(b) < runSize {
		return r, nil, fmt.Errorf("a run of %d bytes: %w", len(b), errEnvelope)
	}
	r = run{place: int(b[0]), count: le.Uint32(b[4:]), size: le.Uint32(b[8:]), seq: le.Uint64(b[16:]), time: int64(le.Uint64(b[24:]))}
	n := uint64(r.count) * uint64(r.size)
	if r.place >= layout.MaxLanes || r.count == 0 || n > uint64(len(b)-runSize) || r.count > 1 && r.size == 0 || !numbered(r.seq, r.count) {
		return r, nil, fmt.Errorf("a run of %d messages of %d bytes from number %d of place %d: %w", r.count, r.size, r.seq, r.place, errEnvelope)
	}
	r.bytes, rest = b[runSize:runSize+n], b[runSize+n:]
	return r, rest, nil
}

// numbered says whether messages can have these numbers.
func numbered(seq uint64, count uint32) bool { return seq > 0 && seq < 1<<60 && count > 0 }

// part is a part of a message. In an envelope it has this header, and then the bytes:
//
//	 0  uint8   place of the publisher
//	 4  uint32  size of the whole message
//	 8  uint32  offset of this part
//	16  uint64  number of the message
//	24  int64   time, in nanoseconds since 1970; 0: none
type part struct {
	place         int
	total, offset uint32
	seq           uint64
	time          int64
	bytes         []byte
}

const partSize = 32

func appendPart(b []byte, p *part) []byte {
	le := binary.LittleEndian
	b = append(b, byte(p.place), 0, 0, 0)
	b = le.AppendUint32(b, p.total)
	b = le.AppendUint32(b, p.offset)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, p.seq)
	b = le.AppendUint64(b, uint64(p.time))
	return append(b, p.bytes...)
}

func parsePart(b []byte) (p part, err error) {
	le := binary.LittleEndian
	if len(b) < partSize {
		return p, fmt.Errorf("a part of %d bytes: %w", len(b), errEnvelope)
	}
	p = part{place: int(b[0]), total: le.Uint32(b[4:]), offset: le.Uint32(b[8:]), seq: le.Uint64(b[16:]), time: int64(le.Uint64(b[24:])), bytes: b[partSize:]}
	if p.place >= layout.MaxLanes || uint64(p.offset)+uint64(len(p.bytes)) > uint64(p.total) || len(p.bytes) == 0 || !numbered(p.seq, 1) {
		return p, fmt.Errorf("%d bytes at %d of %d, message %d of place %d: %w", len(p.bytes), p.offset, p.total, p.seq, p.place, errEnvelope)
	}
	return p, nil
}

// position is how far the publisher's place of a topic is. In an envelope it has 16 bytes:
//
//	0  uint64  number after the last message that was sent; 0: not known
//	8  uint32  how many publishers of this place have died
type position struct {
	next   uint64
	deaths uint32
}

const positionSize = 16

func appendPositions(b []byte, all []position) []byte {
	for _, p := range all {
		b = binary.LittleEndian.AppendUint64(b, p.next)
		b = binary.LittleEndian.AppendUint64(b, uint64(p.deaths))
	}
	return b
}

// positions is the inverse of appendPositions. Numbers that no message can have become 0.
func positions(b []byte) (all []position) {
	for len(b) >= positionSize && len(all) < layout.MaxLanes {
		p := position{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
		if !numbered(p.next, 1) {
			p.next = 0
		}
		all, b = append(all, p), b[positionSize:]
	}
	return all
}

// say is what a subscribing bridge says.
type say uint8

const (
	sayDone say = iota // all envelopes up to the number are done
	sayAsk             // the same, and that it does not know the topic
	sayHole            // the same, and that later ones have come, so the next one is lost
)

// back is what a subscribing bridge sends to a publishing one.
type back struct {
	say      say
	receiver uint64 // a random number of the subscribing bridge
	session  uint32 // of the publishing bridge; 0 if not known
	number   uint64 // all envelopes up to this one are done
}

const backSize = 32

func (a *back) bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, 8, backSize)
	le.PutUint32(b, magic)
	b[4] = byte(a.say)
	b = le.AppendUint64(b, a.receiver)
	b = le.AppendUint64(b, uint64(a.session))
	return le.AppendUint64(b, a.number)
}

func parseBack(b []byte) (a back, ok bool) {
	le := binary.LittleEndian
	if len(b) != backSize || le.Uint32(b) != magic {
		return a, false
	}
	return back{say(b[4]), le.Uint64(b[8:]), uint32(le.Uint64(b[16:])), le.Uint64(b[24:])}, true
}
