package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
)

// The first page of a TIFF file (TIFF 6.0). x/image/tiff reads the pixels; this package reads
// what else is needed, and writes all of it: x/image/tiff cannot write three samples a pixel,
// nor single bits.
const (
	tagSubfile      = 254
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagPhotometric  = 262
	tagStripOffsets = 273
	tagSamples      = 277
	tagRows         = 278
	tagStripCounts  = 279
	tagXResolution  = 282
	tagYResolution  = 283
	tagPlanar       = 284
	tagResolution   = 296
	tagColours      = 320
	tagTileWidth    = 322
	tagTileHeight   = 323
	tagTileOffsets  = 324
	tagTileCounts   = 325
	tagExtra        = 338

	typeShort    = 3
	typeLong     = 4
	typeRational = 5

	compressionNone    = 1
	compressionDeflate = 8

	whiteIsZero = 0
	blackIsZero = 1
	rgbColours  = 2
	paletted    = 3

	associated   = 1 // with alpha
	unassociated = 2
)

// TIFFOptions says how EncodeTIFF writes what can be written in several ways. The zero value
// and nil mean the default of each field.
type TIFFOptions struct {
	Deflate     bool // default: not compressed, which all readers read
	OneBit      bool // write gray with one bit a pixel if it has only black and white
	WhiteIsZero bool // gray
}

// EncodeTIFF writes the samples of img: one for gray and palettes, three for opaque RGBA and
// RGBA64, four for others. Samples of NRGBA and NRGBA64 are not multiplied with alpha. There
// is one strip.
func EncodeTIFF(img image.Image, o *TIFFOptions) []byte {
	if o == nil {
		o = &TIFFOptions{}
	}
	m := samples(img)
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	f := &tiffFile{}
	photometric, bits, extra, colours := uint32(rgbColours), []uint32{8, 8, 8, 8}, uint32(0), []uint32(nil)
	pack := func(b, row []byte) []byte { return append(b, row...) }
	switch s := m.(type) {
	case *image.Gray:
		photometric, bits = o.gray(), []uint32{8}
		flip := byte(0)
		if o.WhiteIsZero {
			flip = 0xff
		}
		pack = func(b, row []byte) []byte {
			for _, v := range row {
				b = append(b, v^flip)
			}
			return b
		}
		if o.OneBit && twoTone(s) {
			bits = []uint32{1}
			pack = func(b, row []byte) []byte { return packBits(b, row, flip) }
		}
	case *image.Gray16:
		photometric, bits = o.gray(), []uint32{16}
		flip := byte(0)
		if o.WhiteIsZero {
			flip = 0xff
		}
		pack = func(b, row []byte) []byte {
			for i := 0; i+1 < len(row); i += 2 {
				b = append(b, row[i+1]^flip, row[i]^flip)
			}
			return b
		}
	case *image.Paletted:
		photometric, bits = paletted, []uint32{8}
		colours = tiffColours(s.Palette)
	case *image.NRGBA:
		extra = unassociated
	case *image.NRGBA64:
		extra, bits, pack = unassociated, []uint32{16, 16, 16, 16}, packWords
	case *image.RGBA:
		if extra = associated; s.Opaque() {
			extra, bits = 0, []uint32{8, 8, 8}
			pack = func(b, row []byte) []byte {
				for ; len(row) >= 4; row = row[4:] {
					b = append(b, row[:3]...)
				}
				return b
			}
		}
	case *image.RGBA64:
		if extra, bits, pack = associated, []uint32{16, 16, 16, 16}, packWords; s.Opaque() {
			extra, bits = 0, []uint32{16, 16, 16}
			pack = func(b, row []byte) []byte {
				for ; len(row) >= 8; row = row[8:] {
					b = append(b, row[1], row[0], row[3], row[2], row[5], row[4])
				}
				return b
			}
		}
	}
	var pix []byte
	for y := range h {
		pix = pack(pix, row(m, y))
	}
	compression := uint32(compressionNone)
	if o.Deflate {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write(pix) // a Buffer never fails
		_ = z.Close()
		pix, compression = b.Bytes(), compressionDeflate
	}
	f.add(tagWidth, typeLong, uint32(w))
	f.add(tagHeight, typeLong, uint32(h))
	f.add(tagBits, typeShort, bits...)
	f.add(tagCompression, typeShort, compression)
	f.add(tagPhotometric, typeShort, photometric)
	f.add(tagStripOffsets, typeLong, tiffHeader)
	f.add(tagSamples, typeShort, uint32(len(bits)))
	f.add(tagRows, typeLong, uint32(h))
	f.add(tagStripCounts, typeLong, uint32(len(pix)))
	f.add(tagXResolution, typeRational, 72, 1)
	f.add(tagYResolution, typeRational, 72, 1)
	f.add(tagPlanar, typeShort, 1) // the samples of a pixel together
	f.add(tagResolution, typeShort, 2)
	if colours != nil {
		f.add(tagColours, typeShort, colours...)
	}
	if extra != 0 {
		f.add(tagExtra, typeShort, extra)
	}
	return f.bytes(pix)
}

func (o *TIFFOptions) gray() uint32 {
	if o.WhiteIsZero {
		return whiteIsZero
	}
	return blackIsZero
}

// twoTone says whether all pixels are black or white.
func twoTone(m *image.Gray) bool {
	for y := range m.Rect.Dy() {
		for _, v := range row(m, y) {
			if v != 0 && v != 0xff {
				return false
			}
		}
	}
	return true
}

// packBits appends a row of black and white, eight pixels a byte.
func packBits(b, row []byte, flip byte) []byte {
	for ; len(row) > 0; row = row[min(8, len(row)):] {
		var v byte
		for i, p := range row[:min(8, len(row))] {
			v |= (p ^ flip) & 1 << (7 - i)
		}
		b = append(b, v)
	}
	return b
}

// packWords appends a row of 16 bits a sample, whose bytes package image has in the other
// order.
func packWords(b, row []byte) []byte {
	for i := 0; i+1 < len(row); i += 2 {
		b = append(b, row[i+1], row[i])
	}
	return b
}

// tiffColours returns a palette: all red, all green, all blue values.
func tiffColours(p color.Palette) []uint32 {
	v := make([]uint32, 3*256)
	for i, c := range p[:min(len(p), 256)] {
		v[i], v[256+i], v[512+i], _ = c.RGBA()
	}
	return v
}

const (
	tiffHeader = 8
	tiffEntry  = 12
)

// tiffFile is a file that is being built: the entries of its directory, by tag, and the values
// that do not fit into their entries.
type tiffFile struct {
	entries [][tiffEntry]byte
	far     []byte
	moved   []int // entries whose value is an offset in far
}

func (f *tiffFile) add(tag, typ int, values ...uint32) {
	le := binary.LittleEndian
	var e [tiffEntry]byte
	le.PutUint16(e[0:], uint16(tag))
	le.PutUint16(e[2:], uint16(typ))
	n := len(values)
	var b []byte
	for _, v := range values {
		if typ == typeShort {
			b = le.AppendUint16(b, uint16(v))
		} else {
			b = le.AppendUint32(b, v)
		}
	}
	if typ == typeRational {
		n /= 2
	}
	le.PutUint32(e[4:], uint32(n))
	if len(b) <= 4 {
		copy(e[8:], b)
	} else {
		f.moved = append(f.moved, len(f.entries))
		le.PutUint32(e[8:], uint32(len(f.far)))
		f.far = append(f.far, b...)
		f.far = append(f.far, make([]byte, len(b)%2)...)
	}
	f.entries = append(f.entries, e)
}

// bytes returns the file: header, pixels, directory, and the values that do not fit into it.
func (f *tiffFile) bytes(pix []byte) []byte {
	le := binary.LittleEndian
	at := tiffHeader + (len(pix)+1)&^1
	far := at + 2 + tiffEntry*len(f.entries) + 4
	b := make([]byte, 0, far+len(f.far))
	b = append(b, "II*\x00"...)
	b = le.AppendUint32(b, uint32(at))
	b = append(b, pix...)
	b = append(b, make([]byte, at-len(b))...)
	b = le.AppendUint16(b, uint16(len(f.entries)))
	for _, i := range f.moved {
		e := f.entries[i][8:]
		le.PutUint32(e, le.Uint32(e)+uint32(far))
	}
	for i := range f.entries {
		b = append(b, f.entries[i][:]...)
	}
	b = le.AppendUint32(b, 0) // no further page
	return append(b, f.far...)
}
