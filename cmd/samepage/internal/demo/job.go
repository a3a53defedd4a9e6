package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"strings"
	"sync/atomic"

	"samepage"
)

// The block that the two processes share: a header of one job, and behind it the
// pixels. All words are little-endian.
//
//	offset  bytes  field        written by
//	     0      8  magic        base, once
//	     8      4  version      base, once
//	    12      4  header size  base, once
//	   128      4  status       whose turn it is, see below
//	   132      4  attempts     worker: how many have begun this job; base: 0
//	   136      8  sequence     base: number of the job, from 1
//	   144      4  width        base, in pixels
//	   148      4  height       base, in pixels
//	   152      4  stride       base, in bytes
//	   156      4  success      worker: 1, or 0 with an error text; base: 0
//	   160     16  source       base: offset and size of the picture
//	   176     16  erased       worker: of the picture without the region
//	   192     16  cut          worker: of the region on transparent ground
//	   208     16  region       base: x, y, width, height, in pixels
//	   224      4  name length  base
//	   228      4  error length worker; base: 0
//	   256   1024  name         base, UTF-8
//	  1280   1024  error        worker, UTF-8
//	  4096         source; erased and cut, where the worker puts them
//
// The pixels are RGBA with premultiplied alpha, as image.RGBA has them.
//
// Status says whose turn it is. Whose turn it is not touches nothing but to
// read status:
//
//	idle ──base──▶ requested ──worker──▶ working ──worker──▶ done ──base──▶ requested
//
// A worker that dies leaves requested or working, and its successor, for whom
// the turn still is, does the job from the beginning: the worker writes nothing
// that it reads, but for attempts. The two events only end a sleep. Whoever
// wakes looks at status, so a ring too many does no harm, and a new worker that
// finds done rings, in case its predecessor died before it could.
const (
	magic      = 0x4f4d454467706d73 // "smpgDEMO"
	version    = 1
	headerSize = 4096
	textSize   = 1024

	offMagic    = 0
	offVersion  = 8
	offHeader   = 12
	offStatus   = 128
	offAttempts = 132
	offSequence = 136
	offWidth    = 144
	offHeight   = 148
	offStride   = 152
	offSuccess  = 156
	offSource   = 160
	offErased   = 176
	offCut      = 192
	offRegion   = 208
	offNameLen  = 224
	offErrorLen = 228
	offName     = 256
	offError    = 1280
)

// The values of status.
const (
	idle uint32 = iota
	requested
	working
	done
)

// areaAlign is the alignment of each picture in the block.
const areaAlign = 64

var errJob = errors.New("a job that makes no sense")

// area is a part of the block.
type area struct{ offset, size int64 }

// job is the header, read once and checked.
type job struct {
	sequence      uint64
	attempts      uint32
	width, height int
	region        image.Rectangle
	name          string
	source        area
	erased, cut   area // of an answer
	success       bool
	err           string
}

func (j *job) bounds() image.Rectangle { return image.Rect(0, 0, j.width, j.height) }
func (j *job) bytes() int64            { return 4 * int64(j.width) * int64(j.height) }

// block is the shared memory, mapped.
type block struct {
	mem    *samepage.Memory
	view   *samepage.View
	b      []byte
	status *atomic.Uint32
}

// blockSize is what three pictures of largest bytes need.
func blockSize(largest int64) int64 { return headerSize + 3*alignUp(largest) }

func alignUp(n int64) int64 { return (n + areaAlign - 1) &^ (areaAlign - 1) }

// createBlock makes the block for pictures of at most largest bytes.
func createBlock(name string, largest int64) (*block, error) {
	head := make([]byte, 16)
	binary.LittleEndian.PutUint64(head[offMagic:], magic)
	binary.LittleEndian.PutUint32(head[offVersion:], version)
	binary.LittleEndian.PutUint32(head[offHeader:], headerSize)
	m, err := samepage.Create(name, blockSize(largest), &samepage.Options{Init: head})
	if err != nil {
		return nil, err
	}
	return mapBlock(m)
}

func openBlock(name string) (*block, error) {
	m, err := samepage.Open(name, nil)
	if err != nil {
		return nil, err
	}
	return mapBlock(m)
}

// mapBlock takes m over.
func mapBlock(m *samepage.Memory) (*block, error) {
	if m.Size() < headerSize {
		return nil, errors.Join(fmt.Errorf("%v is no block of the demo: %w", m, samepage.ErrCorrupt), m.Close())
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	b := &block{mem: m, view: v, b: v.Bytes()}
	b.status, err = v.Uint32(offStatus)
	if err == nil && (b.u64(offMagic) != magic || b.u32(offVersion) != version || b.u32(offHeader) != headerSize) {
		err = fmt.Errorf("%v is no block of the demo: %w", m, samepage.ErrCorrupt)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *block) close() error { return errors.Join(b.view.Close(), b.mem.Close()) }

func (b *block) u32(off int) uint32      { return binary.LittleEndian.Uint32(b.b[off:]) }
func (b *block) u64(off int) uint64      { return binary.LittleEndian.Uint64(b.b[off:]) }
func (b *block) put32(off int, v uint32) { binary.LittleEndian.PutUint32(b.b[off:], v) }
func (b *block) put64(off int, v uint64) { binary.LittleEndian.PutUint64(b.b[off:], v) }
func (b *block) area(off int) area       { return area{int64(b.u64(off)), int64(b.u64(off + 8))} }
func (b *block) putArea(off int, a area) {
	b.put64(off, uint64(a.offset))
	b.put64(off+8, uint64(a.size))
}
func (b *block) dimension(off int) int { return int(min(b.u32(off), maxSide+1)) }
func (b *block) attempt()              { b.put32(offAttempts, b.u32(offAttempts)+1) }
func (b *block) ends(a area) (int64, bool) {
	n := int64(len(b.b))
	return a.offset + a.size, a.offset >= headerSize && a.size >= 0 && a.offset <= n && a.size <= n-a.offset
}

func (b *block) putText(offLen, off int, s string) {
	n := copy(b.b[off:off+textSize], s)
	b.put32(offLen, uint32(n))
}

func (b *block) text(offLen, off int) string {
	n := min(b.u32(offLen), textSize)
	return strings.ToValidUTF8(string(b.b[off:off+int(n)]), "�")
}

// image is a picture whose pixels are those in the block.
func (b *block) image(a area, r image.Rectangle) *image.RGBA {
	return &image.RGBA{Pix: b.b[a.offset : a.offset+a.size : a.offset+a.size], Stride: 4 * r.Dx(), Rect: r}
}

// place makes room for the source of a job. Its turn is the base's.
func (b *block) place(r image.Rectangle) (area, error) {
	a := area{headerSize, 4 * int64(r.Dx()) * int64(r.Dy())}
	if headerSize+3*alignUp(a.size) > int64(len(b.b)) {
		return a, fmt.Errorf("%d x %d pixels do not fit the shared memory: it was made for the largest picture at the start: %w",
			r.Dx(), r.Dy(), samepage.ErrTooLarge)
	}
	return a, nil
}

// request writes a job whose source stands in the block already, and passes the
// turn to the worker.
func (b *block) request(j *job) {
	b.put32(offAttempts, 0)
	b.put64(offSequence, j.sequence)
	b.put32(offWidth, uint32(j.width))
	b.put32(offHeight, uint32(j.height))
	b.put32(offStride, uint32(4*j.width))
	b.put32(offSuccess, 0)
	b.putArea(offSource, j.source)
	b.putArea(offErased, area{})
	b.putArea(offCut, area{})
	for i, v := range []int{j.region.Min.X, j.region.Min.Y, j.region.Dx(), j.region.Dy()} {
		b.put32(offRegion+4*i, uint32(v))
	}
	b.putText(offNameLen, offName, j.name)
	b.putText(offErrorLen, offError, "")
	// RELEASE: publishes the job and its pixels. Pairs with the ACQUIRE of the
	// worker's load of status.
	b.status.Store(requested)
}

// read reads the header once and checks what a request says.
func (b *block) read() (*job, error) {
	j := &job{
		sequence: b.u64(offSequence),
		attempts: b.u32(offAttempts),
		width:    b.dimension(offWidth),
		height:   b.dimension(offHeight),
		source:   b.area(offSource),
		erased:   b.area(offErased),
		cut:      b.area(offCut),
		success:  b.u32(offSuccess) == 1,
		name:     b.text(offNameLen, offName),
		err:      b.text(offErrorLen, offError),
	}
	x, y := b.dimension(offRegion), b.dimension(offRegion+4)
	j.region = image.Rect(x, y, x+b.dimension(offRegion+8), y+b.dimension(offRegion+12))
	stride := b.u32(offStride)
	_, inside := b.ends(j.source)
	switch {
	case j.width < 1 || j.height < 1 || j.width > maxSide || j.height > maxSide || j.bytes() > 4*maxPixels:
		return j, fmt.Errorf("%w: a picture of %d x %d pixels", errJob, j.width, j.height)
	case int64(stride) != 4*int64(j.width):
		return j, fmt.Errorf("%w: stride %d of %d pixels", errJob, stride, j.width)
	case !inside || j.source.size != j.bytes() || j.source.offset%4 != 0:
		return j, fmt.Errorf("%w: source of %d bytes at %d of %d", errJob, j.source.size, j.source.offset, len(b.b))
	case j.region.Empty() || !j.region.In(j.bounds()):
		return j, fmt.Errorf("%w: region %v of a picture of %d x %d pixels", errJob, j.region, j.width, j.height)
	}
	return j, nil
}

// readAnswer is read, and checks what the worker says.
func (b *block) readAnswer() (*job, error) {
	j, err := b.read()
	if err != nil {
		return j, err
	}
	if !j.success {
		return j, nil
	}
	end := alignUp(j.source.offset + j.source.size)
	for _, a := range []area{j.erased, j.cut} {
		next, inside := b.ends(a)
		if !inside || a.size != j.bytes() || a.offset < end {
			return j, fmt.Errorf("%w: result of %d bytes at %d of %d", errJob, a.size, a.offset, len(b.b))
		}
		end = next
	}
	return j, nil
}

// results makes room for both results behind the source.
func (b *block) results(j *job) error {
	j.erased = area{alignUp(j.source.offset + j.source.size), j.bytes()}
	j.cut = area{alignUp(j.erased.offset + j.erased.size), j.bytes()}
	if _, inside := b.ends(j.cut); !inside {
		return fmt.Errorf("results of twice %d bytes do not fit the %d bytes of shared memory: %w",
			j.bytes(), len(b.b), samepage.ErrTooLarge)
	}
	return nil
}

// answer tells of the results, or of why there are none, and passes the turn to
// the base.
func (b *block) answer(j *job, err error) {
	if err == nil {
		b.putArea(offErased, j.erased)
		b.putArea(offCut, j.cut)
		b.put32(offSuccess, 1)
	} else {
		b.put32(offSuccess, 0)
		b.putText(offErrorLen, offError, err.Error())
	}
	// RELEASE: publishes the results. Pairs with the ACQUIRE of the base's
	// load of status.
	b.status.Store(done)
}
