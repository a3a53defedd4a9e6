package record

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"
)

// Damage is a chunk of a recording that cannot be read: its bytes are damaged, or the disk does not
// give them. All else of the recording is read.
type Damage struct {
	Offset int64  `json:"offset"` // of the chunk in the file
	Size   int64  `json:"size"`   // bytes of the chunk
	Why    string `json:"why"`
	// Begin and End are the times of its first and last message. They are zero if the file does not
	// say them.
	Begin time.Time `json:"begin,omitzero"`
	End   time.Time `json:"end,omitzero"`
	// Lost is how many messages of each topic and cell it had.
	Lost     map[string]uint64 `json:"lost"`
	Messages uint64            `json:"messages"` // the sum of Lost
	// Unknown says that it may have had more messages: the index of the chunk is missing or damaged,
	// too.
	Unknown bool `json:"unknown,omitempty"`
}

// broken is a chunk that cannot be read, or the place of indexes that cannot be read.
type broken struct {
	*mcap.ChunkIndex
	why     error
	indexes bool // it has no messages
}

// timed says whether the times of the first and the last message are known.
func (b *broken) timed() bool { return b.MessageEndTime > 0 }

// broke notes a chunk that cannot be read.
func (r *File) broke(x *mcap.ChunkIndex, why error) {
	if _, known := r.broken[x.ChunkStartOffset]; !known {
		r.broken[x.ChunkStartOffset] = broken{x, why, false}
	}
}

// Damaged returns the damaged chunks that were found, in the order of the file. It counts the
// messages that Messages would return if the chunks were whole. Chunks that have none of these are
// left out.
//
// If the file has its end, a damaged chunk is found when it is read. Check finds all.
func (r *File) Damaged(from, to uint64, want func(c *mcap.Channel) bool) []Damage {
	var all []Damage
	for _, b := range r.broken {
		if b.indexes || b.timed() && (b.MessageEndTime < from || b.MessageStartTime >= to) {
			continue
		}
		if d := r.damage(b, from, to, want); d.Messages > 0 || d.Unknown {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Damage) int { return cmp.Compare(a.Offset, b.Offset) })
	return all
}

func (r *File) damage(b broken, from, to uint64, want func(c *mcap.Channel) bool) Damage {
	d := Damage{Offset: int64(b.ChunkStartOffset), Size: int64(b.ChunkLength), Why: b.why.Error(), Lost: map[string]uint64{}, Unknown: len(b.MessageIndexOffsets) == 0}
	if b.indexes || b.timed() {
		d.Begin, d.End = nanoTime(b.MessageStartTime), nanoTime(b.MessageEndTime)
	}
	left := b.MessageIndexLength
	for id := range b.MessageIndexOffsets {
		c := r.info.Channels[id]
		if c == nil || !want(c) {
			continue
		}
		n, ok := r.indexed(&b, id, from, to, &left)
		if n > 0 {
			d.Lost[c.Topic] += n
		}
		d.Messages += n
		d.Unknown = d.Unknown || !ok
	}
	return d
}

// indexed counts the messages of a channel that a chunk has, as its index of messages tells. ok is
// false if that makes no sense: it has no checksum. left is how many bytes the indexes of other
// channels leave for this one.
func (r *File) indexed(x *broken, id uint16, from, to uint64, left *uint64) (n uint64, ok bool) {
	at, begin := x.MessageIndexOffsets[id], x.ChunkStartOffset+x.ChunkLength
	if at < begin || at-begin > x.MessageIndexLength {
		return 0, false
	}
	const fields = 9 + 2 + 4
	b := bufio.NewReader(io.NewSectionReader(r.bytes(), int64(at), int64(begin+x.MessageIndexLength-at)))
	var head [fields]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return 0, false
	}
	length, size := binary.LittleEndian.Uint64(head[1:]), binary.LittleEndian.Uint32(head[11:])
	if mcap.OpCode(head[0]) != mcap.OpMessageIndex || binary.LittleEndian.Uint16(head[9:]) != id || uint64(size)+2+4 != length || length > *left {
		return 0, false
	}
	*left -= length
	for range size / 16 {
		var entry [16]byte
		if _, err := io.ReadFull(b, entry[:]); err != nil {
			return 0, false
		}
		t := binary.LittleEndian.Uint64(entry[:])
		if x.timed() && (t < x.MessageStartTime || t > x.MessageEndTime) {
			return 0, false
		}
		if t >= from && t < to {
			n++
		}
	}
	return n, true
}

// everything is a want of Messages.
func everything(*mcap.Channel) bool { return true }

// Check reads all chunks, so that Damaged, Info and Repair know of all that are damaged.
func (r *File) Check() {
	if r.checked != nil {
		return
	}
	c := newContents()
	for _, s := range r.info.Schemas {
		c.schemas = append(c.schemas, s)
	}
	for _, ch := range r.info.Channels {
		c.channels = append(c.channels, ch)
	}
	slices.SortFunc(c.schemas, func(a, b *mcap.Schema) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(c.channels, func(a, b *mcap.Channel) int { return cmp.Compare(a.ID, b.ID) })
	c.metadata, c.attached = r.info.MetadataIndexes, r.info.AttachmentIndexes
	for _, x := range r.info.ChunkIndexes {
		counts := map[uint16]uint64{}
		records, err := r.load(x)
		for at := 0; at < len(records) && err == nil; {
			var op mcap.OpCode
			var body []byte
			if op, body, err = recordAt(records, at); err == nil && op == mcap.OpMessage {
				counts[binary.LittleEndian.Uint16(body)]++
			}
			at += 9 + len(body)
		}
		if err != nil {
			r.broke(x, err)
			continue
		}
		c.add(x, counts)
	}
	r.checked = &c
}

// load reads the records of a chunk, and checks them.
func (r *File) load(x *mcap.ChunkIndex) ([]byte, error) {
	all := r.bytes()
	var head [9]byte
	if _, err := all.ReadAt(head[:], int64(x.ChunkStartOffset)); err != nil {
		return nil, err
	}
	if n := binary.LittleEndian.Uint64(head[1:]); mcap.OpCode(head[0]) != mcap.OpChunk || n != x.ChunkLength-9 {
		return nil, corrupt("there is no chunk of %d bytes, as the index of the file says", x.ChunkLength)
	}
	b := make([]byte, x.ChunkLength-9) // checkChunks has checked it
	if _, err := all.ReadAt(b, int64(x.ChunkStartOffset)+9); err != nil {
		return nil, err
	}
	c, err := parse(mcap.ParseChunk, b)
	if err != nil {
		return nil, err
	}
	if c.UncompressedSize != x.UncompressedSize {
		return nil, corrupt("a chunk with %d bytes, the index of the file says %d", c.UncompressedSize, x.UncompressedSize)
	}
	return unpack(c)
}

// opSkipped is the kind of the record that a repaired file has in place of a damaged chunk and of
// its index. MCAP leaves these kinds to programs, and readers skip those that they do not know.
const opSkipped mcap.OpCode = 0x80

// Repair writes a whole recording: all that is whole of r, and an end.
//
// Errors: samepage.ErrCorrupt, and those of reading and writing.
func (r *File) Repair(w io.Writer) error {
	r.Check()
	if len(r.broken) == 0 {
		_, err := io.Copy(w, r.bytes())
		return err
	}
	end, err := r.dataEnd()
	if err != nil {
		return err
	}
	tail, err := r.checked.tail(uint64(end))
	if err != nil {
		return err
	}
	offsets := make([]uint64, 0, len(r.broken))
	for at := range r.broken {
		offsets = append(offsets, at)
	}
	slices.Sort(offsets)
	at, all := int64(0), r.bytes()
	for _, o := range offsets {
		x := r.broken[o]
		if _, err := io.Copy(w, io.NewSectionReader(all, at, int64(o)-at)); err != nil {
			return err
		}
		n := x.ChunkLength + x.MessageIndexLength
		head := binary.LittleEndian.AppendUint64([]byte{byte(opSkipped)}, n-9)
		if _, err := w.Write(head); err != nil {
			return err
		}
		// What the disk does not give becomes zeros, so that all that follows keeps its place.
		if err := copyReadable(w, io.NewSectionReader(all, int64(o)+9, int64(n)-9)); err != nil {
			return err
		}
		at = int64(o + n)
	}
	if at > end {
		return corrupt("a chunk ends at byte %d, after the data section, which ends at byte %d", at, end)
	}
	if _, err := io.Copy(w, io.NewSectionReader(all, at, end-at)); err != nil {
		return err
	}
	_, err = w.Write(tail)
	return err
}

// copyReadable copies all bytes of r. Those that cannot be read become zeros.
func copyReadable(w io.Writer, r *io.SectionReader) error {
	const block = 4096
	b := make([]byte, block)
	for at := int64(0); at < r.Size(); at += block {
		b := b[:min(block, r.Size()-at)]
		if n, err := r.ReadAt(b, at); err != nil {
			clear(b[n:])
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// dataEnd returns where the data section ends: before the record that says so.
func (r *File) dataEnd() (int64, error) {
	const size = 9 + 4
	at := int64(min(r.info.Footer.SummaryStart, math.MaxInt64)) - size
	var op [1]byte
	if at > 0 {
		if _, err := r.bytes().ReadAt(op[:], at); err != nil {
			return 0, err
		}
	}
	if mcap.OpCode(op[0]) != mcap.OpDataEnd {
		return 0, corrupt("the data section has no end")
	}
	return at, nil
}
