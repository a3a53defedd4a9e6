package picture

import (
	"bufio"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/image/tiff/lzw"

	"samepage"
)

// tiffInfo is what a TIFF file says about its first page.
type tiffInfo struct {
	width, height int64
	bits, samples int64 // bits of a sample, samples of a pixel
	compression   int64
	photometric   int64
	planar        int64 // 2: each sample has a plane of its own
	extra         int64 // the meaning of a fourth sample
	blockW        int64 // pixels of a strip or tile
	blockH        int64
	offsets       tiffList
	counts        tiffList
	pages         int

	order binary.ByteOrder
}

// tiffList says where the numbers of an entry are.
type tiffList struct {
	n     int64
	size  int64 // bytes of each; 0: numbers of a kind that is not read here
	at    int64 // their offset in the file; 0: they are in the entry
	here  [4]byte
	order binary.ByteOrder
}

// maxTIFFPages limits the walk through the pages, which may lie anywhere.
const maxTIFFPages = 1 << 16

// readTIFF reads the directories of a file whose first one x/image/tiff has accepted.
func readTIFF(s *io.SectionReader) (*tiffInfo, error) {
	t := &tiffInfo{bits: 1, samples: 1, compression: compressionNone}
	var h [tiffHeader]byte
	if _, err := s.ReadAt(h[:], 0); err != nil {
		return nil, err
	}
	if t.order = binary.LittleEndian; h[0] == 'M' {
		t.order = binary.BigEndian
	}
	seen := map[uint32]bool{} // the directories may form a circle
	for at := t.order.Uint32(h[4:]); at != 0 && !seen[at] && len(seen) < maxTIFFPages; {
		seen[at] = true
		next, page, err := t.directory(s, int64(at), t.pages == 0)
		if err != nil {
			if t.pages == 0 {
				return nil, err
			}
			break // what follows the first page is not needed
		}
		if page {
			t.pages++
		}
		at = next
	}
	t.pages = max(t.pages, 1)
	return t, nil
}

// directory reads one directory, and keeps its content if it is the first page. page is false
// if it is not a page of its own, such as a smaller version of another page.
func (t *tiffInfo) directory(s *io.SectionReader, at int64, keep bool) (next uint32, page bool, err error) {
	var n [4]byte
	if _, err := s.ReadAt(n[:2], at); err != nil {
		return 0, false, err
	}
	entries := int64(t.order.Uint16(n[:]))
	b := make([]byte, tiffEntry*entries)
	if _, err := s.ReadAt(b, at+2); err != nil {
		return 0, false, err
	}
	page = true
	for e := b; len(e) > 0; e = e[tiffEntry:] {
		tag := int(t.order.Uint16(e))
		if tag == tagSubfile {
			page = t.list(e).first(s)&5 == 0 // not a smaller version, nor a mask
		} else if keep {
			t.keep(tag, t.list(e), s)
		}
	}
	if keep {
		t.blocks()
	}
	if _, err := s.ReadAt(n[:], at+2+tiffEntry*entries); err != nil {
		return 0, page, nil
	}
	return t.order.Uint32(n[:]), page, nil
}

// list finds the numbers of an entry: in the entry itself, if they fit there.
func (t *tiffInfo) list(e []byte) tiffList {
	l := tiffList{order: t.order, n: int64(t.order.Uint32(e[4:]))}
	switch t.order.Uint16(e[2:]) {
	case typeShort:
		l.size = 2
	case typeLong:
		l.size = 4
	}
	if l.n*l.size <= 4 {
		l.here = [4]byte(e[8:])
	} else {
		l.at = int64(t.order.Uint32(e[8:]))
	}
	return l
}

// first is the first number; 0 if there is none.
func (l tiffList) first(s *io.SectionReader) int64 {
	v, err := l.number(s, 0)
	if err != nil {
		return 0
	}
	return v
}

func (l tiffList) number(s *io.SectionReader, i int64) (int64, error) {
	if i >= l.n || l.size == 0 {
		return 0, fmt.Errorf("number %d of %d of a TIFF's entry: %w", i, l.n, samepage.ErrCorrupt)
	}
	var b [4]byte
	if l.at == 0 {
		copy(b[:l.size], l.here[i*l.size:])
	} else if _, err := s.ReadAt(b[:l.size], l.at+i*l.size); err != nil {
		return 0, err
	}
	if l.size == 2 {
		return int64(l.order.Uint16(b[:])), nil
	}
	return int64(l.order.Uint32(b[:])), nil
}

func (t *tiffInfo) keep(tag int, l tiffList, s *io.SectionReader) {
	switch tag {
	case tagWidth:
		t.width = l.first(s)
	case tagHeight:
		t.height = l.first(s)
	case tagBits: // x/image/tiff has seen that all are alike
		t.samples, t.bits = l.n, l.first(s)
	case tagCompression:
		t.compression = l.first(s)
	case tagPhotometric:
		t.photometric = l.first(s)
	case tagPlanar:
		t.planar = l.first(s)
	case tagExtra:
		t.extra = l.first(s)
	case tagRows, tagTileHeight:
		t.blockH = l.first(s)
	case tagTileWidth:
		t.blockW = l.first(s)
	case tagStripOffsets, tagTileOffsets:
		t.offsets = l
	case tagStripCounts, tagTileCounts:
		t.counts = l
	}
}

// blocks finds out the size of a strip or tile: the whole picture, if the file does not say.
func (t *tiffInfo) blocks() {
	if t.blockW == 0 {
		t.blockW = t.width
		if t.blockH == 0 || t.blockH > t.height {
			t.blockH = t.height
		}
	}
}

// The kinds of compression that can make many bytes of few.
const (
	compressionLZW        = 5
	compressionOldDeflate = 32946
	compressionPackBits   = 32773
)

// least is how many bytes the pixels take in the file at least.
func (t *tiffInfo) least() int64 {
	n := times(times(t.width, t.height), times(t.samples, t.bits)) / 8
	switch t.compression {
	case compressionNone, 0:
		return n
	case compressionDeflate, compressionOldDeflate:
		return n / mostOfDeflate
	case compressionLZW:
		return n / mostOfLZW
	case compressionPackBits:
		return n / mostOfPackBits
	}
	return 0
}

// checkBlocks refuses strips and tiles that decompress to far more than their pixels:
// x/image/tiff accepts up to eight bytes a pixel for each, whatever a pixel needs. If that is
// within the limit, checkBlocks looks at nothing.
func (t *tiffInfo) checkBlocks(r io.ReaderAt, size, limit int64) error {
	if times(times(t.blockW, t.blockH), 8) <= limit {
		return nil
	}
	most := times(times(t.blockW, times(t.samples, t.bits))/8+1, t.blockH)
	s := io.NewSectionReader(r, 0, size)
	for i := range t.offsets.n {
		at, err := t.offsets.number(s, i)
		if err != nil {
			return err
		}
		n, err := t.counts.number(s, i)
		if err != nil {
			return err
		}
		got, err := t.unpacked(io.NewSectionReader(r, at, min(n, size)), most)
		if err != nil {
			return unexpected(err)
		}
		if got > most {
			return fmt.Errorf("block %d of a TIFF has more than the %d bytes of its pixels when it is decompressed: %w", i+1, most, samepage.ErrTooLarge)
		}
	}
	return nil
}

// unpacked is how many bytes a block has, counted up to most+1.
func (t *tiffInfo) unpacked(block io.Reader, most int64) (int64, error) {
	var r io.ReadCloser
	var err error
	switch t.compression {
	case compressionDeflate, compressionOldDeflate:
		if r, err = zlib.NewReader(block); err != nil {
			return 0, err
		}
	case compressionLZW:
		r = lzw.NewReader(block, lzw.MSB, 8)
	case compressionPackBits:
		return unpackedBits(bufio.NewReader(block), most)
	default:
		return 0, nil // one byte of the block is one byte or eight pixels of the picture
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, most+1))
	return n, errors.Join(err, r.Close())
}

func unpackedBits(r *bufio.Reader, most int64) (n int64, err error) {
	for n <= most {
		c, err := r.ReadByte()
		if err == io.EOF {
			return n, nil
		}
		switch code := int8(c); {
		case err != nil:
			return n, err
		case code >= 0:
			if _, err := r.Discard(int(code) + 1); err != nil {
				return n, err
			}
			n += int64(code) + 1
		case code != -128:
			if _, err := r.Discard(1); err != nil {
				return n, err
			}
			n += 1 - int64(code)
		}
	}
	return n, nil
}
