package record

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"
)

// File is a recording that is open for reading. Only one goroutine at a time may call its methods.
type File struct {
	Path string
	// Lost says why the file has no end: the recorder was killed, for example. Then File reads what
	// is whole. It is nil if the file is whole.
	Lost error
	// Whole is how many bytes of the file are read.
	Whole int64
	Size  int64 // of the file

	f       *os.File
	end     []byte // what follows the first Whole bytes, if the file has no end of its own
	info    *mcap.Info
	sources map[uint16]*Source
	broken  map[uint64]broken // the damaged chunks that were found, by their offset
	checked *contents         // what is not damaged; nil: Check was not called
}

// Open opens a recording. If the file does not have its end, Open reads all of it, and finds what
// is whole. Damaged chunks are left out, see Damaged.
//
// Errors: those of os.Open, samepage.ErrCorrupt (it is not a recording).
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &File{Path: path, f: f}
	if err := r.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	return r, nil
}

func (r *File) open() error {
	st, err := r.f.Stat()
	if err != nil {
		return err
	}
	r.Size, r.Whole, r.broken = st.Size(), st.Size(), map[uint64]broken{}
	if r.info, err = r.summary(); err != nil {
		if r.info, err = r.repaired(); err != nil {
			return err
		}
	}
	r.sources = map[uint16]*Source{}
	for id, c := range r.info.Channels {
		if r.sources[id], err = sourceOf(c); err != nil {
			return err
		}
	}
	return nil
}

// summary reads the summary at the end.
func (r *File) summary() (info *mcap.Info, err error) {
	err = guard(func() error {
		if err := r.checkRecords(); err != nil {
			return err
		}
		m, err := mcap.NewReader(r.bytes())
		if err != nil {
			return err
		}
		defer m.Close()
		if info, err = m.Info(); err == nil && (info.Statistics == nil || info.Footer == nil || info.Footer.SummaryStart == 0) {
			err = errors.New("the file has no summary")
		}
		if err == nil {
			err = r.checkChunks(info)
		}
		return err
	})
	return info, err
}

// footerSize is how many bytes a file has from its footer on.
const footerSize = 9 + 8 + 8 + 4 + 8

// checkRecords checks the lengths of the header and of the records of the summary, because the
// library takes memory for what they say.
func (r *File) checkRecords() error {
	n := r.Whole + int64(len(r.end))
	b := r.bytes()
	length := func(at int64) (op mcap.OpCode, size int64, err error) {
		var head [9]byte
		if _, err = b.Seek(at, io.SeekStart); err == nil {
			_, err = io.ReadFull(b, head[:])
		}
		size = int64(binary.LittleEndian.Uint64(head[1:]))
		if err == nil && (size < 0 || size > n-at-9) {
			err = corrupt("a record of %d bytes at byte %d of %d", size, at, n)
		}
		return mcap.OpCode(head[0]), size, err
	}
	op, size, err := length(int64(len(mcap.Magic)))
	if err == nil && (op != mcap.OpHeader || size > maxHeader) {
		err = corrupt("it begins with a record of kind %v and %d bytes, and not with a header", op, size)
	}
	if err != nil {
		return err
	}
	end := n - footerSize
	if op, size, err = length(end); err != nil || op != mcap.OpFooter || size != 8+8+4 {
		return corrupt("it does not end with a footer")
	}
	var begin [8]byte
	if _, err := io.ReadFull(b, begin[:]); err != nil {
		return err
	}
	at := int64(binary.LittleEndian.Uint64(begin[:]))
	if at < 0 || at > end {
		return corrupt("the summary begins at byte %d of %d", at, n)
	}
	for at < end {
		_, size, err := length(at)
		if err != nil {
			return err
		}
		at += 9 + size
	}
	return nil
}

// tooLarge says whether no chunk of so many compressed bytes has so many bytes.
func tooLarge(size, compressed uint64) bool {
	const most = 64 << 20
	return size > maxRecord || size > most && size>>16 > compressed
}

// chunkHead is how many bytes the record of a chunk has at least.
const chunkHead = 9 + 8 + 8 + 8 + 4 + 4 + 8

// checkChunks checks the places and sizes of the chunks in the index: memory is taken for what they
// say, and no byte is read for two of them.
func (r *File) checkChunks(info *mcap.Info) error {
	n := uint64(r.Whole) + uint64(len(r.end))
	sorted := slices.SortedFunc(slices.Values(info.ChunkIndexes), func(a, b *mcap.ChunkIndex) int {
		return cmp.Compare(a.ChunkStartOffset, b.ChunkStartOffset)
	})
	at := uint64(0)
	for _, c := range sorted {
		if c.ChunkStartOffset < at || c.ChunkStartOffset > n || c.ChunkLength > min(n-c.ChunkStartOffset, maxRecord) || c.ChunkLength < chunkHead ||
			c.CompressedSize > c.ChunkLength-chunkHead || tooLarge(c.UncompressedSize, c.CompressedSize) {
			return corrupt("a chunk of %d bytes at byte %d of %d, after one that ends at byte %d", c.ChunkLength, c.ChunkStartOffset, n, at)
		}
		if at = c.ChunkStartOffset + c.ChunkLength; c.MessageIndexLength > n-at {
			return corrupt("an index of %d bytes at byte %d of %d", c.MessageIndexLength, at, n)
		}
		at += c.MessageIndexLength
	}
	if info.Footer.SummaryCRC != 0 {
		return r.checkSum(info.Footer)
	}
	// Nothing says that the index is not damaged. If it is, scan finds the chunks.
	b := r.bytes()
	for _, c := range sorted {
		var head [9 + 8 + 8 + 8]byte
		if _, err := b.ReadAt(head[:], int64(c.ChunkStartOffset)); err != nil {
			return err
		}
		length, size := binary.LittleEndian.Uint64(head[1:]), binary.LittleEndian.Uint64(head[25:])
		if mcap.OpCode(head[0]) != mcap.OpChunk || length != c.ChunkLength-9 || size != c.UncompressedSize {
			return corrupt("the chunk at byte %d is not the one of the index", c.ChunkStartOffset)
		}
	}
	return nil
}

// checkSum checks the summary against its checksum.
func (r *File) checkSum(f *mcap.Footer) error {
	b := r.bytes()
	end := b.Size() - int64(len(mcap.Magic)) - 4
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(b, int64(f.SummaryStart), end-int64(f.SummaryStart))); err != nil {
		return err
	}
	if sum.Sum32() != f.SummaryCRC {
		return corrupt("the checksum of the summary is wrong")
	}
	return nil
}

// repaired reads the whole file, and makes the end that it does not have.
func (r *File) repaired() (*mcap.Info, error) {
	s, err := scan(r.f)
	if err != nil {
		return nil, err
	}
	if r.end, err = s.end(); err != nil {
		return nil, err
	}
	r.Whole, r.Lost = s.at, s.lost
	for _, b := range s.broken {
		r.broken[b.ChunkStartOffset] = b
	}
	if r.Lost == nil {
		r.Lost = corrupt("the summary is damaged")
	}
	return r.summary()
}

// guard calls f, which calls the library. The library panics at some files that make no sense.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = corrupt("%v", p)
		}
	}()
	return f()
}

// bytes are the bytes of the recording.
func (r *File) bytes() *io.SectionReader {
	return io.NewSectionReader(&joined{r.f, r.Whole, r.end}, 0, r.Whole+int64(len(r.end)))
}

// joined is the first n bytes of a file, and then other bytes.
type joined struct {
	f   io.ReaderAt
	n   int64
	end []byte
}

func (j *joined) ReadAt(b []byte, at int64) (n int, err error) {
	if at < j.n {
		n, err = j.f.ReadAt(b[:min(int64(len(b)), j.n-at)], at)
		if n < len(b) && at+int64(n) == j.n {
			err = nil
		}
		if err != nil || n == len(b) {
			return n, err
		}
	}
	k, err := bytes.NewReader(j.end).ReadAt(b[n:], at+int64(n)-j.n)
	return n + k, err
}

// Names returns the names of the topics and cells of the recording.
func (r *File) Names() []string {
	var names []string
	for _, c := range r.info.Channels {
		if c.Topic != eventTopic {
			names = append(names, c.Topic)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Length returns the time between the first and the last message of the recording.
func (r *File) Length() time.Duration {
	return time.Duration(r.info.Statistics.MessageEndTime - r.info.Statistics.MessageStartTime)
}

// Close closes the file.
func (r *File) Close() error { return r.f.Close() }
