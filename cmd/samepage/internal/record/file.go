package record

import (
	"bytes"
	"fmt"
	"io"

	"github.com/foxglove/mcap/go/mcap"
)

// contents is what the summary at the end of a file tells.
type contents struct {
	schemas  []*mcap.Schema
	channels []*mcap.Channel
	chunks   []*mcap.ChunkIndex
	metadata []*mcap.MetadataIndex
	attached []*mcap.AttachmentIndex
	stats    mcap.Statistics
}

func newContents() contents {
	return contents{stats: mcap.Statistics{ChannelMessageCounts: map[uint16]uint64{}}}
}

// add counts the messages of a chunk that was written.
func (c *contents) add(x *mcap.ChunkIndex, counts map[uint16]uint64) {
	c.chunks = append(c.chunks, x)
	n := uint64(0)
	for id, k := range counts {
		c.stats.ChannelMessageCounts[id] += k
		n += k
	}
	if n == 0 {
		return
	}
	if c.stats.MessageCount == 0 || x.MessageStartTime < c.stats.MessageStartTime {
		c.stats.MessageStartTime = x.MessageStartTime
	}
	c.stats.MessageEndTime = max(c.stats.MessageEndTime, x.MessageEndTime)
	c.stats.MessageCount += n
}

// tail returns the end of a file whose data section has at bytes: everything from the record that
// ends the data section to the magic.
func (c *contents) tail(at uint64) ([]byte, error) {
	c.stats.SchemaCount, c.stats.ChannelCount = uint16(len(c.schemas)), uint32(len(c.channels))
	c.stats.ChunkCount, c.stats.MetadataCount = uint32(len(c.chunks)), uint32(len(c.metadata))
	c.stats.AttachmentCount = uint32(len(c.attached))
	out, w := newEncoder(false)
	if err := w.WriteDataEnd(&mcap.DataEnd{}); err != nil {
		return nil, err
	}
	begin := at + uint64(out.Len())
	sum, w := newEncoder(true) // the checksum of the summary begins here
	var offsets []*mcap.SummaryOffset
	var err error
	group := func(op mcap.OpCode, n int, write func(i int) error) {
		start := sum.Len()
		for i := 0; i < n && err == nil; i++ {
			err = write(i)
		}
		if n > 0 {
			offsets = append(offsets, &mcap.SummaryOffset{GroupOpcode: op, GroupStart: begin + uint64(start), GroupLength: uint64(sum.Len() - start)})
		}
	}
	group(mcap.OpSchema, len(c.schemas), func(i int) error { return w.WriteSchema(c.schemas[i]) })
	group(mcap.OpChannel, len(c.channels), func(i int) error { return w.WriteChannel(c.channels[i]) })
	group(mcap.OpStatistics, 1, func(int) error { return w.WriteStatistics(&c.stats) })
	group(mcap.OpChunkIndex, len(c.chunks), func(i int) error { return w.WriteChunkIndex(c.chunks[i]) })
	group(mcap.OpAttachmentIndex, len(c.attached), func(i int) error { return w.WriteAttachmentIndex(c.attached[i]) })
	group(mcap.OpMetadataIndex, len(c.metadata), func(i int) error { return w.WriteMetadataIndex(c.metadata[i]) })
	footer := &mcap.Footer{SummaryStart: begin, SummaryOffsetStart: begin + uint64(sum.Len())}
	for _, o := range offsets {
		if err == nil {
			err = w.WriteSummaryOffset(o)
		}
	}
	if err == nil {
		err = w.WriteFooter(footer)
	}
	if err != nil {
		return nil, fmt.Errorf("write the summary: %w", err)
	}
	out.Write(sum.Bytes())
	out.Write(mcap.Magic)
	return out.Bytes(), nil
}

// newEncoder returns an encoder of small records, and the buffer that it fills.
func newEncoder(crc bool) (*bytes.Buffer, *mcap.Writer) {
	out := new(bytes.Buffer)
	w, err := mcap.NewWriter(out, &mcap.WriterOptions{SkipMagic: true, IncludeCRC: crc})
	if err != nil {
		panic(err) // impossible: the options are constants
	}
	return out, w
}

// file writes one file of a recording.
type file struct {
	contents
	w       io.Writer
	how     Compression
	at      uint64          // bytes written
	small   *bytes.Buffer   // records that are written next
	encoder *mcap.Writer    // fills small
	known   map[uint16]bool // channels that the file has
	schemas map[uint16]bool
	failed  bool // the file has bytes after at, which make no sense
}

// newFile writes the begin of a file.
func newFile(w io.Writer, how Compression, library string) (*file, error) {
	f := &file{contents: newContents(), w: w, how: how, known: map[uint16]bool{}, schemas: map[uint16]bool{}}
	f.small, f.encoder = newEncoder(false)
	f.small.Write(mcap.Magic)
	if err := f.encoder.WriteHeader(&mcap.Header{Library: library}); err != nil {
		return nil, err
	}
	return f, f.flush()
}

// flush writes the small records.
func (f *file) flush() error {
	err := f.write(f.small.Bytes())
	f.small.Reset()
	return err
}

func (f *file) write(b []byte) error {
	n, err := f.w.Write(b)
	f.at += uint64(n)
	return err
}

// put writes a chunk that is ready, and its index. Channels that the file does not have yet come
// before it. After an error the file is whole up to at.
func (f *file) put(c *chunk) error {
	whole, schemas, channels := f.at, f.contents.schemas, f.channels
	err := f.putAll(c)
	if err != nil {
		f.small.Reset()
		f.at, f.failed = whole, true
		f.contents.schemas, f.channels = schemas, channels
	}
	return err
}

func (f *file) putAll(c *chunk) error {
	for _, ch := range c.channels {
		if err := f.introduce(ch); err != nil {
			return err
		}
	}
	x := &mcap.ChunkIndex{
		MessageStartTime: c.begin, MessageEndTime: c.end, ChunkStartOffset: f.at + uint64(f.small.Len()), MessageIndexOffsets: map[uint16]uint64{},
		Compression: f.how, CompressedSize: uint64(len(c.packed)), UncompressedSize: uint64(c.size),
	}
	f.small.Write(c.header(f.how))
	if err := f.flush(); err != nil {
		return err
	}
	if err := f.write(c.packed); err != nil {
		return err
	}
	x.ChunkLength = f.at - x.ChunkStartOffset
	counts := map[uint16]uint64{}
	for _, i := range c.index {
		x.MessageIndexOffsets[i.ChannelID] = f.at + uint64(f.small.Len())
		counts[i.ChannelID] = uint64(len(i.Entries()))
		if err := f.encoder.WriteMessageIndex(i); err != nil {
			return err
		}
	}
	x.MessageIndexLength = uint64(f.small.Len())
	if err := f.flush(); err != nil {
		return err
	}
	f.add(x, counts)
	return nil
}

// introduce writes the records of a channel and of its schema, unless the file has them.
func (f *file) introduce(ch *channel) error {
	if f.known[ch.id] {
		return nil
	}
	f.known[ch.id] = true
	if s := ch.schema; s != nil && !f.schemas[s.ID] {
		f.schemas[s.ID] = true
		f.contents.schemas = append(f.contents.schemas, s)
		if err := f.encoder.WriteSchema(s); err != nil {
			return err
		}
	}
	r := ch.record()
	f.channels = append(f.channels, r)
	return f.encoder.WriteChannel(r)
}

// end writes the end of the file.
func (f *file) end() error {
	b, err := f.tail(f.at)
	if err != nil {
		return err
	}
	return f.write(b)
}
