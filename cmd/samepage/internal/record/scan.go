package record

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/foxglove/mcap/go/mcap"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"samepage"
)

// maxRecord is the largest record that a scan reads: a message, or a chunk, of 4 GiB and its
// header.
const maxRecord = 1<<32 + 1<<20

// maxHeader is the largest header of a file that a scan reads.
const maxHeader = 1 << 20

// scanner reads a file from its begin, record by record, as far as it is whole.
type scanner struct {
	contents
	all  io.ReaderAt
	f    *bufio.Reader
	at   int64 // the file is whole up to here
	lost error // why it is not whole after that; nil: it has an end
	// last is the chunk that was read last, until the record that follows its indexes was read.
	last    *mcap.ChunkIndex
	bad     error    // why last cannot be read; nil: it can
	index   error    // why an index of last cannot be read; nil: all can
	broken  []broken // the chunks that cannot be read
	counts  map[uint16]uint64
	indexes []*mcap.MessageIndex // of last, from its messages
	found   int                  // how many bytes of indexes the file has for last
	missing []byte               // the indexes of the last chunk of all, if the file does not have all of them
	known   map[uint16]bool
	schema  map[uint16]bool
}

// scan reads a file up to the end of its data section, or as far as it is whole. Everything in the
// file may be wrong.
//
// Errors: samepage.ErrCorrupt (there is no recording), and those of reading.
func scan(r io.ReaderAt) (*scanner, error) {
	f := bufio.NewReaderSize(io.NewSectionReader(r, 0, math.MaxInt64), 64<<10)
	s := &scanner{contents: newContents(), all: r, f: f, known: map[uint16]bool{}, schema: map[uint16]bool{}}
	magic := make([]byte, len(mcap.Magic))
	if _, err := io.ReadFull(s.f, magic); err != nil || !bytes.Equal(magic, mcap.Magic) {
		return nil, corrupt("it does not begin as an MCAP file")
	}
	s.at = int64(len(magic))
	var body []byte
	for first := true; ; first = false {
		var head [9]byte
		if _, err := io.ReadFull(s.f, head[:]); err != nil {
			if first {
				return nil, corrupt("it has no header")
			}
			return s, s.cut("the file ends without a summary", err)
		}
		op, n := mcap.OpCode(head[0]), binary.LittleEndian.Uint64(head[1:])
		if op == mcap.OpDataEnd || op == mcap.OpFooter {
			return s, s.complete()
		}
		if first && (op != mcap.OpHeader || n > maxHeader) {
			return nil, corrupt("it begins with a record of kind %v and %d bytes, and not with a header", op, n)
		}
		n, lie := s.length(op, n)
		if n > maxRecord {
			return s, s.cut(fmt.Sprintf("a record of %d bytes", n), ErrCorrupt)
		}
		var err error
		if body, err = readRecord(s.f, body[:0], int64(n)); err != nil {
			if first {
				return nil, corrupt("it has no header")
			}
			return s, s.cut(fmt.Sprintf("the file ends in a record of %d bytes", n), err)
		}
		if err := s.record(op, body); err != nil {
			return s, s.cut(fmt.Sprintf("the record at byte %d", s.at), err)
		}
		switch {
		case lie == nil:
		case op == mcap.OpChunk:
			s.bad, s.indexes = lie, s.indexes[:0]
		default:
			s.index = lie
		}
		if op != mcap.OpMessageIndex {
			s.at += int64(len(head) + len(body))
		}
	}
}

// length returns how many bytes a record has whose head was read, and says n. Chunks and indexes
// have their length twice. If the lengths are not the same, the one counts after which a record
// follows; the error says that it is not n.
func (s *scanner) length(op mcap.OpCode, n uint64) (uint64, error) {
	b, _ := s.f.Peek(mostTold)
	m, ok := told(op, b)
	if !ok || m == n || s.follows(n) || !s.follows(m) {
		return n, nil
	}
	return m, corrupt("the head of a record of kind %v says %d bytes, its content %d", op, n, m)
}

// follows says whether a record, or the end of the file, follows if the record that is read now has
// n bytes.
func (s *scanner) follows(n uint64) bool {
	if n > maxRecord {
		return false
	}
	at := s.at + 9 + int64(n)
	if s.last != nil {
		at += int64(s.found)
	}
	var b [1 + 9 + mostTold]byte
	k, err := s.all.ReadAt(b[:], at-1)
	if k < 1+9 {
		return k == 1 && err == io.EOF
	}
	op, size := mcap.OpCode(b[1]), binary.LittleEndian.Uint64(b[2:])
	if m, ok := told(op, b[1+9:k]); ok {
		return m == size
	}
	switch op {
	case mcap.OpSchema, mcap.OpChannel, mcap.OpMetadata, mcap.OpAttachment:
		return size <= maxRecord
	case mcap.OpDataEnd:
		return size == 4
	}
	return false
}

// mostTold is how many bytes of a record told needs.
const mostTold = 8 + 8 + 8 + 4 + 4 + 4 + 8

// told returns the length that the content of a chunk, or of an index of messages, tells. b is its
// begin.
func told(op mcap.OpCode, b []byte) (uint64, bool) {
	le := binary.LittleEndian
	switch {
	case op == mcap.OpMessageIndex && len(b) >= 2+4:
		n := uint64(le.Uint32(b[2:]))
		return 2 + 4 + n, n%16 == 0
	case op == mcap.OpChunk && len(b) >= mostTold-4:
		at := uint64(8 + 8 + 8 + 4 + 4) // of the name of the compression
		name := uint64(le.Uint32(b[at-4:]))
		if name > 4 || at+name+8 > uint64(len(b)) {
			return 0, false
		}
		n := le.Uint64(b[at+name:])
		return at + name + 8 + n, n <= maxRecord
	}
	return 0, false
}

// readRecord reads n bytes. It takes memory only for what there is.
func readRecord(r io.Reader, b []byte, n int64) ([]byte, error) {
	buf := bytes.NewBuffer(b)
	k, err := io.CopyN(buf, r, n)
	if err == nil && k < n {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), err
}

// cut ends the scan where the file is not whole any more. It returns an error only if reading has
// failed.
func (s *scanner) cut(what string, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = samepage.ErrTruncated
	}
	if !errors.Is(err, samepage.ErrCorrupt) && !errors.Is(err, samepage.ErrTruncated) {
		return err
	}
	s.lost = fmt.Errorf("%s: %w", what, err)
	return s.complete()
}

// whole ends the chunk that was read last: all its indexes have been read.
func (s *scanner) whole() {
	if s.last == nil {
		return
	}
	x := s.last
	if s.index != nil {
		// The chunk is read without its indexes.
		s.broken = append(s.broken, broken{&mcap.ChunkIndex{ChunkStartOffset: uint64(s.at), ChunkLength: uint64(s.found)}, s.index, true})
		x.MessageIndexLength = 0
		clear(x.MessageIndexOffsets)
	}
	s.at += int64(s.found)
	if s.bad != nil {
		s.broken = append(s.broken, broken{x, s.bad, false})
	} else {
		s.add(x, s.counts)
	}
	s.last, s.bad, s.index = nil, nil, nil
}

// complete is whole at the end of the file. It makes the indexes that are missing.
func (s *scanner) complete() error {
	if x := s.last; x != nil && len(x.MessageIndexOffsets) < len(s.indexes) {
		small, encoder := newEncoder(false)
		clear(x.MessageIndexOffsets)
		for _, i := range s.indexes {
			x.MessageIndexOffsets[i.ChannelID] = uint64(s.at) + uint64(small.Len())
			if err := encoder.WriteMessageIndex(i); err != nil {
				return err
			}
		}
		x.MessageIndexLength = uint64(small.Len())
		s.missing, s.found, s.index = small.Bytes(), 0, nil
	}
	s.whole()
	return nil
}

// end returns what must follow the first s.at bytes of the file, so that it is a whole recording.
func (s *scanner) end() ([]byte, error) {
	b, err := s.tail(uint64(s.at) + uint64(len(s.missing)))
	return append(s.missing, b...), err
}

// unpack returns the records of a chunk, and checks them against the checksum.
func unpack(c *mcap.Chunk) ([]byte, error) {
	b, err := decompress(c)
	if err == nil && c.UncompressedCRC != 0 && crc32.ChecksumIEEE(b) != c.UncompressedCRC {
		err = corrupt("the checksum of a chunk is wrong")
	}
	return b, err
}

func decompress(c *mcap.Chunk) ([]byte, error) {
	var r io.Reader
	switch how := mcap.CompressionFormat(c.Compression); how {
	case mcap.CompressionNone:
		return c.Records, nil
	case mcap.CompressionLZ4:
		r = lz4.NewReader(bytes.NewReader(c.Records))
	case mcap.CompressionZSTD:
		z, err := zstd.NewReader(bytes.NewReader(c.Records), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	default:
		return nil, corrupt("chunk with the compression %q", c.Compression)
	}
	if tooLarge(c.UncompressedSize, uint64(len(c.Records))) {
		return nil, corrupt("a chunk of %d bytes", c.UncompressedSize)
	}
	b, err := readRecord(r, nil, int64(c.UncompressedSize))
	if err != nil {
		return nil, corrupt("decompress a chunk: %v", err)
	}
	return b, nil
}

// ErrCorrupt is samepage.ErrCorrupt for recordings.
var ErrCorrupt error = corruptError{}

type corruptError struct{}

func (corruptError) Error() string        { return "damaged recording" }
func (corruptError) Is(target error) bool { return target == samepage.ErrCorrupt }

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
}

// record reads a record of the data section.
func (s *scanner) record(op mcap.OpCode, b []byte) error {
	if op == mcap.OpMessageIndex {
		if s.last == nil {
			return corrupt("an index of messages without a chunk")
		}
		if len(b) < 6 {
			return corrupt("an index of messages of %d bytes", len(b))
		}
		s.last.MessageIndexOffsets[binary.LittleEndian.Uint16(b)] = uint64(s.at + int64(s.found))
		s.found += 9 + len(b)
		s.last.MessageIndexLength = uint64(s.found)
		return nil
	}
	s.whole()
	switch op {
	case mcap.OpReserved:
		return corrupt("a record of kind 0")
	case mcap.OpSchema, mcap.OpChannel:
		return s.define(op, b)
	case mcap.OpMetadata:
		m, err := parse(mcap.ParseMetadata, b)
		if err != nil {
			return err
		}
		s.metadata = append(s.metadata, &mcap.MetadataIndex{Offset: uint64(s.at), Length: uint64(9 + len(b)), Name: m.Name})
	case mcap.OpMessage:
		return corrupt("a message outside of a chunk, which samepage does not read")
	case mcap.OpChunk:
		s.indexes, s.counts, s.found = s.indexes[:0], map[uint16]uint64{}, 0
		s.last = &mcap.ChunkIndex{ChunkStartOffset: uint64(s.at), ChunkLength: uint64(9 + len(b)), MessageIndexOffsets: map[uint16]uint64{}}
		if s.bad = s.chunk(b); s.bad != nil {
			s.indexes = s.indexes[:0] // only those of the file are known
		}
	}
	return nil
}

// parse calls a parser of the library, which may panic if the record makes no sense.
func parse[T any](f func([]byte) (T, error), b []byte) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt("%v", p)
		}
	}()
	if v, err = f(b); err != nil {
		err = corrupt("%v", err)
	}
	return v, err
}

// define reads the record of a schema or a channel. b is used again by the caller.
func (s *scanner) define(op mcap.OpCode, b []byte) error {
	b = bytes.Clone(b)
	if op == mcap.OpSchema {
		x, err := parse(mcap.ParseSchema, b)
		if err == nil && !s.schema[x.ID] {
			s.schema[x.ID] = true
			s.schemas = append(s.schemas, x)
		}
		return err
	}
	c, err := parse(mcap.ParseChannel, b)
	if err == nil && !s.known[c.ID] {
		if c.SchemaID != 0 && !s.schema[c.SchemaID] {
			return corrupt("channel %d has schema %d, which is not in the file", c.ID, c.SchemaID)
		}
		s.known[c.ID] = true
		s.channels = append(s.channels, c)
	}
	return err
}

// chunk reads the chunk s.last, and all its records.
func (s *scanner) chunk(b []byte) error {
	c, err := parse(mcap.ParseChunk, b)
	if err != nil {
		return err
	}
	s.last.MessageStartTime, s.last.MessageEndTime = c.MessageStartTime, c.MessageEndTime
	s.last.Compression, s.last.CompressedSize = mcap.CompressionFormat(c.Compression), uint64(len(c.Records))
	records, err := unpack(c)
	if err != nil {
		return err
	}
	s.last.UncompressedSize = uint64(len(records))
	index := map[uint16]*mcap.MessageIndex{}
	for at := 0; at < len(records); {
		op, body, err := recordAt(records, at)
		if err != nil {
			return err
		}
		switch op {
		case mcap.OpSchema, mcap.OpChannel:
			if err := s.define(op, body); err != nil {
				return err
			}
		case mcap.OpMessage:
			id := binary.LittleEndian.Uint16(body)
			if !s.known[id] {
				return corrupt("a message of channel %d, which is not in the file", id)
			}
			if index[id] == nil {
				index[id] = &mcap.MessageIndex{ChannelID: id}
				s.indexes = append(s.indexes, index[id])
			}
			index[id].Add(binary.LittleEndian.Uint64(body[6:]), uint64(at))
			s.counts[id]++
		}
		at += 9 + len(body)
	}
	return nil
}
