package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/foxglove/mcap/go/mcap"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// chunk is a part of a recording that is written at once: records of messages, and where they lie.
// Nobody changes it after it was sealed, except for pack.
type chunk struct {
	b          []byte // the records
	room       int64  // bytes that count as used until the chunk is written
	index      []*mcap.MessageIndex
	channels   []*channel // those of index
	bytes      []uint64   // of the data of their messages
	begin, end uint64     // log times of its first and last message
	begun      time.Time  // when it got its first message
	size       int        // bytes of the records; set before ready is closed
	packed     []byte     // the records, compressed; set before ready is closed
	crc        uint32     // of b; set before ready is closed
	summed     bool       // add updates crc
	ready      chan struct{}
}

// messageSize is how many bytes a message of n bytes takes in a chunk.
func messageSize(n int) int { return 9 + messageFields + n }

// messageFields are the bytes of a record of a message before its data.
const messageFields = 2 + 4 + 8 + 8

// sumBlock is how many bytes a chunk with summed copies before it sums them up: they are still in
// the processor's cache then.
const sumBlock = 64 << 10

// add adds a message. Its data are the parts, one after the other.
func (c *chunk) add(ch *channel, seq uint64, at, published int64, parts ...[]byte) {
	n := messageFields
	for _, p := range parts {
		n += len(p)
	}
	if len(c.b) == 0 || uint64(at) < c.begin {
		c.begin = uint64(at)
	}
	c.end = max(c.end, uint64(at))
	i := c.of(ch)
	c.index[i].Add(uint64(at), uint64(len(c.b)))
	c.bytes[i] += uint64(n - messageFields)
	from := len(c.b)
	b := append(c.b, byte(mcap.OpMessage))
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint16(b, ch.id)
	b = binary.LittleEndian.AppendUint32(b, uint32(seq))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, uint64(published))
	for _, p := range parts {
		for c.summed && len(p) > sumBlock {
			b = append(b, p[:sumBlock]...)
			p = p[sumBlock:]
			c.crc, from = crc32.Update(c.crc, crc32.IEEETable, b[from:]), len(b)
		}
		b = append(b, p...)
	}
	if c.summed {
		c.crc = crc32.Update(c.crc, crc32.IEEETable, b[from:])
	}
	c.b = b
}

// of returns the place of ch in channels.
func (c *chunk) of(ch *channel) int {
	if ch.in == c { // the usual case
		return ch.place
	}
	i := slices.Index(c.channels, ch)
	if i < 0 {
		i = len(c.channels)
		c.channels = append(c.channels, ch)
		c.index = append(c.index, &mcap.MessageIndex{ChannelID: ch.id})
		c.bytes = append(c.bytes, 0)
	}
	ch.in, ch.place = c, i
	return i
}

// drop frees the memory of a chunk that nobody needs. Its channels still refer to it.
func (c *chunk) drop() {
	c.b, c.packed = nil, nil
	for _, i := range c.index {
		*i = mcap.MessageIndex{}
	}
}

// Compression says how the chunks of a file are compressed.
type Compression = mcap.CompressionFormat

// ParseCompression is the inverse of the texts "none", "lz4" and "zstd".
func ParseCompression(s string) (Compression, error) {
	switch c := Compression(s); c {
	case mcap.CompressionLZ4, mcap.CompressionZSTD:
		return c, nil
	}
	if s == "none" {
		return mcap.CompressionNone, nil
	}
	return "", fmt.Errorf("%s is not one of none, lz4, zstd", strconv.Quote(s))
}

// zstdEncoder is used by all goroutines that compress.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // impossible: the options are constants
	}
	return e
})

// seal makes the chunk complete: it computes the checksum, and compresses the records.
func (c *chunk) seal(how Compression) {
	c.size = len(c.b)
	if !c.summed {
		c.crc = crc32.ChecksumIEEE(c.b)
	}
	c.packed = c.b
	switch how {
	case mcap.CompressionZSTD:
		c.packed = zstdEncoder().EncodeAll(c.b, nil)
	case mcap.CompressionLZ4:
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		_, err := w.Write(c.b)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			panic(err) // impossible: a bytes.Buffer returns no error
		}
		c.packed = out.Bytes()
	}
	close(c.ready)
}

// header is the record of the chunk up to its compressed records.
func (c *chunk) header(how Compression) []byte {
	n := 8 + 8 + 8 + 4 + 4 + len(how) + 8 + len(c.packed)
	b := []byte{byte(mcap.OpChunk)}
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint64(b, c.begin)
	b = binary.LittleEndian.AppendUint64(b, c.end)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.size))
	b = binary.LittleEndian.AppendUint32(b, c.crc)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(how)))
	b = append(b, how...)
	return binary.LittleEndian.AppendUint64(b, uint64(len(c.packed)))
}
