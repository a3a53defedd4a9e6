package record

import (
	"cmp"
	"container/heap"
	"encoding/binary"
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

// reading reads the messages of a File in order. Its methods Len, Less, Swap, Push and Pop are
// those of a heap, whose first chunk has the next message.
type reading struct {
	f        *File
	from, to uint64
	order    Order
	asked    func(c *mcap.Channel) bool
	want     map[uint16]bool    // what asked has answered last
	chunks   []*mcap.ChunkIndex // those that may have messages, in order
	next     int                // the chunk that is opened next
	open     []*openChunk       // a heap
	bytes    int                // of open
	msg      Message
	raw      mcap.Message
}

// Messages returns a function that reads one message after the other, of the channels that want
// accepts: those that were recorded at from or later, and before to, in nanoseconds since 1970. At
// the end the function returns io.EOF. Damaged chunks are left out, see Damaged.
//
// Before each chunk want is asked again about the channels that it has. If want does not accept any
// of them any more, the chunk is not read.
//
// Errors, also of the function: samepage.ErrCorrupt, and those of reading.
func (r *File) Messages(from, to uint64, order Order, want func(c *mcap.Channel) bool) (func() (*Message, error), error) {
	x := &reading{f: r, from: from, to: min(to, math.MaxInt64), order: order, asked: want, want: map[uint16]bool{}}
	for id, c := range r.info.Channels {
		x.want[id] = want(c)
	}
	for _, c := range r.info.ChunkIndexes {
		if c.MessageEndTime >= x.from && c.MessageStartTime < x.to {
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
	for x.next < len(x.chunks) {
		i := x.chunks[x.next]
		if len(x.open) > 0 && x.sooner(x.open[0].time(), i) {
			break
		}
		if _, known := x.f.broken[i.ChunkStartOffset]; known || !x.wanted(i) {
			x.next++
			continue
		}
		if n := uint64(x.bytes) + i.UncompressedSize; len(x.open) > 0 && n > mostOpen {
			return nil, corrupt("%d chunks, with %d bytes, whose times overlap", len(x.open)+1, n)
		}
		x.next++
		c, err := x.chunk(i)
		if err != nil {
			x.f.broke(i, err)
			continue
		}
		if len(c.left) > 0 {
			x.bytes += len(c.records)
			heap.Push(x, c)
		}
	}
	if len(x.open) == 0 {
		return nil, io.EOF
	}
	c := x.open[0]
	at := c.left[len(c.left)-1].at
	if c.left = c.left[:len(c.left)-1]; len(c.left) > 0 {
		heap.Fix(x, 0)
	} else {
		heap.Pop(x)
		x.bytes -= len(c.records)
	}
	return x.take(c, at)
}

// wanted asks which channels of a chunk are wanted, and returns whether there are any.
func (x *reading) wanted(i *mcap.ChunkIndex) (any bool) {
	for id := range i.MessageIndexOffsets {
		c := x.f.info.Channels[id]
		x.want[id] = c != nil && x.asked(c)
		any = any || x.want[id]
	}
	return any || len(i.MessageIndexOffsets) == 0 // then its channels are not known
}

// sooner says whether a message of this time comes before all those of a chunk.
func (x *reading) sooner(time uint64, c *mcap.ChunkIndex) bool {
	if x.order == Backward {
		return time > c.MessageEndTime
	}
	return time < c.MessageStartTime
}

// time is the time of the next message. There is one.
func (c *openChunk) time() uint64 { return c.left[len(c.left)-1].time }

func (x *reading) Len() int      { return len(x.open) }
func (x *reading) Swap(i, j int) { x.open[i], x.open[j] = x.open[j], x.open[i] }
func (x *reading) Push(c any)    { x.open = append(x.open, c.(*openChunk)) }

func (x *reading) Less(i, j int) bool {
	if x.order == Backward {
		i, j = j, i
	}
	a, b := x.open[i], x.open[j]
	return cmp.Or(cmp.Compare(a.time(), b.time()), cmp.Compare(a.offset, b.offset)) < 0
}

func (x *reading) Pop() any {
	c := x.open[len(x.open)-1]
	x.open[len(x.open)-1] = nil
	x.open = x.open[:len(x.open)-1]
	return c
}

// chunk opens a chunk.
func (x *reading) chunk(i *mcap.ChunkIndex) (*openChunk, error) {
	records, err := x.f.load(i)
	if err != nil {
		return nil, err
	}
	c := &openChunk{records: records, offset: i.ChunkStartOffset}
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
	if len(c.left) > 0 {
		x.open = append(x.open, c)
	}
	return nil
}

// take returns the message of an open chunk that is at a place.
func (x *reading) take(c *openChunk, at int64) (*Message, error) {
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
