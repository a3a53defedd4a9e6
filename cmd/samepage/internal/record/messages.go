package record

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
)

// The library can read messages by the index, too. But it does not look at the checksums of chunks,
// and takes whatever memory a hostile file makes it take.

// Message is a message of a recording. Data is good until the next message is read.
type Message struct {
	Channel *mcap.Channel
	Schema  *mcap.Schema
	Source  *Source // nil: another program wrote the channel
	*mcap.Message
}

// Order is the order in which messages are read.
type Order int

// The orders: by the time at which messages were recorded.
const (
	Forward Order = iota
	Backward
)

// mostOpen is how many bytes the chunks may have that are open at the same time, unless one alone has
// more. They are open together if their times overlap. Those of our recorder do so a little. A test
// makes it smaller.
var mostOpen uint64 = 1 << 30

// mostChunks is how many chunks may be open at the same time.
const mostChunks = 1000

// openChunk is a chunk whose messages are being read.
type openChunk struct {
	records []byte    // nil: the messages are in no chunk
	offset  uint64    // of the chunk in the file
	left    []located // messages that are not read yet; the next one is the last
}

// located says where the record of a message is, in a chunk or else in the file.
type located struct {
	time uint64
	at   int64
}

// reading reads the messages of a File in order.
type reading struct {
	f        *File
	from, to uint64
	order    Order
	want     map[uint16]bool
	chunks   []*mcap.ChunkIndex // those that may have messages, in order
	next     int                // the chunk that is opened next
	open     []*openChunk
	bytes    int // of open
	msg      Message
	raw      mcap.Message
}

// Messages returns a function that reads one message after the other, of the channels that want
// accepts: those that were recorded at from or later, and before to, in nanoseconds since 1970. At
// the end the function returns io.EOF.
//
// Errors, also of the function: samepage.ErrCorrupt, and those of reading.
func (r *File) Messages(from, to uint64, order Order, want func(c *mcap.Channel) bool) (func() (*Message, error), error) {
	x := &reading{f: r, from: from, to: min(to, math.MaxInt64), order: order, want: map[uint16]bool{}}
	for id, c := range r.info.Channels {
		if want(c) {
			x.want[id] = true
		}
	}
	for _, c := range r.info.ChunkIndexes {
		has := len(c.MessageIndexOffsets) == 0 // then its channels are not known
		for id := range c.MessageIndexOffsets {
			has = has || x.want[id]
		}
		if has && c.MessageEndTime >= x.from && c.MessageStartTime < x.to {
			x.chunks = append(x.chunks, c)
		}
	}
	slices.SortFunc(x.chunks, func(a, b *mcap.ChunkIndex) int {
		if order == Backward {
			return cmp.Or(cmp.Compare(b.MessageEndTime, a.MessageEndTime), cmp.Compare(b.ChunkStartOffset, a.ChunkStartOffset))
		}
		return cmp.Or(cmp.Compare(a.MessageStartTime, b.MessageStartTime), cmp.Compare(a.ChunkStartOffset, b.ChunkStartOffset))
	})
	if len(r.info.ChunkIndexes) == 0 && r.info.Statistics.MessageCount > 0 {
		if err := x.unchunked(); err != nil {
			return nil, err
		}
	}
	return x.read, nil
}

// read returns the next message.
func (x *reading) read() (*Message, error) {
	for {
		c := x.first()
		if x.next == len(x.chunks) || c != nil && x.sooner(c.left[len(c.left)-1].time, x.chunks[x.next]) {
			if c == nil {
				return nil, io.EOF
			}
			return x.take(c)
		}
		c, err := x.chunk(x.chunks[x.next])
		if err != nil {
			return nil, err
		}
		x.next++
		x.open = append(x.open, c)
		x.bytes += len(c.records)
	}
}

// sooner says whether a message of this time comes before all those of a chunk.
func (x *reading) sooner(time uint64, c *mcap.ChunkIndex) bool {
	if x.order == Backward {
		return time > c.MessageEndTime
	}
	return time < c.MessageStartTime
}

// first returns the open chunk that has the next message; nil: there is none. It closes those that
// have no more.
func (x *reading) first() (first *openChunk) {
	x.open = slices.DeleteFunc(x.open, func(c *openChunk) bool {
		if len(c.left) == 0 {
			x.bytes -= len(c.records)
			return true
		}
		return false
	})
	for _, c := range x.open {
		if first == nil {
			first = c
			continue
		}
		a, b := c.left[len(c.left)-1].time, first.left[len(first.left)-1].time
		if earlier := a < b || a == b && c.offset < first.offset; earlier == (x.order == Forward) {
			first = c
		}
	}
	return first
}

// chunk opens a chunk.
func (x *reading) chunk(i *mcap.ChunkIndex) (*openChunk, error) {
	if n := uint64(x.bytes) + i.UncompressedSize; len(x.open) > 0 && n > mostOpen || len(x.open) == mostChunks {
		return nil, corrupt("%d chunks, with %d bytes, whose times overlap", len(x.open)+1, n)
	}
	b := make([]byte, i.ChunkLength-9) // checkChunks has checked it
	if _, err := x.f.bytes().ReadAt(b, int64(i.ChunkStartOffset)+9); err != nil {
		return nil, err
	}
	c := &openChunk{offset: i.ChunkStartOffset}
	m, err := parse(mcap.ParseChunk, b)
	if err == nil {
		c.records, err = unpack(m)
	}
	if err != nil {
		return nil, fmt.Errorf("the chunk at byte %d: %w", i.ChunkStartOffset, err)
	}
	for at := 0; at < len(c.records); {
		op, body, err := recordAt(c.records, at)
		if err != nil {
			return nil, err
		}
		if op == mcap.OpMessage {
			x.found(c, body, int64(at))
		}
		at += 9 + len(body)
	}
	x.sort(c)
	return c, nil
}

// recordAt returns a record of a chunk.
func recordAt(records []byte, at int) (op mcap.OpCode, body []byte, err error) {
	rest := records[at:]
	if len(rest) < 9 {
		return 0, nil, corrupt("%d bytes at the end of a chunk", len(rest))
	}
	n := binary.LittleEndian.Uint64(rest[1:])
	if n > uint64(len(rest)-9) {
		return 0, nil, corrupt("a record of %d bytes in a chunk with %d", n, len(rest)-9)
	}
	op, body = mcap.OpCode(rest[0]), rest[9:9+n]
	if op == mcap.OpMessage && n < messageFields {
		return 0, nil, corrupt("a message of %d bytes", n)
	}
	return op, body, nil
}

// found notes a message, if it is one of those that are read. head begins with messageFields bytes.
func (x *reading) found(c *openChunk, head []byte, at int64) {
	if t := binary.LittleEndian.Uint64(head[6:]); x.want[binary.LittleEndian.Uint16(head)] && t >= x.from && t < x.to {
		c.left = append(c.left, located{t, at})
	}
}

// sort puts the messages of a chunk in order, the next one last.
func (x *reading) sort(c *openChunk) {
	slices.SortFunc(c.left, func(a, b located) int {
		if x.order == Forward {
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.at, b.at))
	})
}

// unchunked finds the messages of a file that has no chunks.
func (x *reading) unchunked() error {
	c := &openChunk{}
	r := x.f.bytes()
	for at := int64(len(mcap.Magic)); ; {
		var head [9 + messageFields]byte
		if n, err := r.ReadAt(head[:], at); n < 9 || err != nil && err != io.EOF {
			return cmp.Or(err, error(samepage.ErrTruncated))
		}
		op, n := mcap.OpCode(head[0]), binary.LittleEndian.Uint64(head[1:])
		if op == mcap.OpDataEnd || op == mcap.OpFooter {
			break
		}
		if n > maxRecord || op == mcap.OpMessage && n < messageFields || int64(n) > r.Size()-at-9 {
			return corrupt("a record of %d bytes at byte %d", n, at)
		}
		if op == mcap.OpMessage {
			x.found(c, head[9:], at)
		}
		at += 9 + int64(n)
	}
	x.sort(c)
	x.open = append(x.open, c)
	return nil
}

// take returns the next message of an open chunk.
func (x *reading) take(c *openChunk) (*Message, error) {
	at := c.left[len(c.left)-1].at
	c.left = c.left[:len(c.left)-1]
	var body []byte
	if c.records != nil {
		_, body, _ = recordAt(c.records, int(at)) // chunk has checked it
	} else {
		r := io.NewSectionReader(x.f.bytes(), at, math.MaxInt64-at)
		var head [9]byte
		_, err := io.ReadFull(r, head[:])
		if n := binary.LittleEndian.Uint64(head[1:]); err == nil && n <= maxRecord {
			body, err = readRecord(r, nil, int64(n))
		}
		if err != nil || len(body) < messageFields { // the file has changed
			return nil, corrupt("the message at byte %d: %v", at, err)
		}
	}
	ch := x.f.info.Channels[binary.LittleEndian.Uint16(body)]
	if ch == nil {
		return nil, corrupt("the message at byte %d has changed", at)
	}
	x.raw = mcap.Message{
		ChannelID: ch.ID, Sequence: binary.LittleEndian.Uint32(body[2:]), LogTime: binary.LittleEndian.Uint64(body[6:]),
		PublishTime: binary.LittleEndian.Uint64(body[14:]), Data: body[messageFields:],
	}
	x.msg = Message{Channel: ch, Schema: x.f.info.Schemas[ch.SchemaID], Source: x.f.sources[ch.ID], Message: &x.raw}
	return &x.msg, nil
}
