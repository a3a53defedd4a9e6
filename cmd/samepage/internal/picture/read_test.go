package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"samepage"
	"samepage/internal/ipctest"
)

// encoded is the file that f writes.
func encoded(t *testing.T, f func(w io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is a chunk of a PNG.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngOf claims to be a PNG of any size.
func pngOf(w, h uint32, depth, colours, interlaced byte, more ...[]byte) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(head, depth, colours, 0, 0, interlaced))...)
	for _, m := range more {
		b = append(b, m...)
	}
	none := []byte{0x78, 0x9c, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 1} // a zlib stream without a byte
	return append(append(b, chunk("IDAT", none)...), chunk("IEND", nil)...)
}

// jpegOf is a JPEG whose frame header is of that kind, and claims any size.
func jpegOf(w, h uint16, sof byte, sampling ...byte) []byte {
	n := len(sampling)
	b := []byte{0xff, 0xd8, 0xff, sof, 0, byte(8 + 3*n), 8}
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, h), w)
	b = append(b, byte(n))
	for i, s := range sampling {
		b = append(b, byte(i+1), s, 0)
	}
	b = append(b, 0xff, 0xda, 0, byte(6+2*n), byte(n))
	for i := range n {
		b = append(b, byte(i+1), 0)
	}
	if sof == 0xc2 {
		return append(b, 0, 0, 0, 1, 2, 3)
	}
	return append(b, 0, 63, 0, 1, 2, 3)
}

func gifOf(screenW, screenH, w, h uint16, flags byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(le.AppendUint16([]byte("GIF89a"), screenW), screenH)
	b = append(b, 0x80, 0, 0, 0, 0, 0, 9, 9, 9) // two colours
	b = append(b, 0x2c, 0, 0, 0, 0)
	b = le.AppendUint16(le.AppendUint16(b, w), h)
	return append(b, flags, 2, 1, 0x44, 0, 0x3b)
}

func bmpOf(w, h int32, bits uint16) []byte {
	b := make([]byte, 54)
	le := binary.LittleEndian
	copy(b, "BM")
	le.PutUint32(b[10:], 54)
	if bits == 8 {
		b = append(b, make([]byte, 1024)...)
		le.PutUint32(b[10:], 54+1024)
	}
	le.PutUint32(b[14:], 40)
	le.PutUint32(b[18:], uint32(w))
	le.PutUint32(b[22:], uint32(h))
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], bits)
	return b
}

// tiffOf is a TIFF of one strip, or as more says.
func tiffOf(w, h uint32, samples, bits int, compression uint32, more ...[2]uint32) []byte {
	f := &tiffFile{}
	tags := map[int][]uint32{
		tagWidth: {w}, tagHeight: {h}, tagCompression: {compression}, tagPhotometric: {rgbColours},
		tagStripOffsets: {8}, tagSamples: {uint32(samples)}, tagRows: {h}, tagStripCounts: {4},
	}
	for range samples {
		tags[tagBits] = append(tags[tagBits], uint32(bits))
	}
	switch samples {
	case 1:
		tags[tagPhotometric] = []uint32{blackIsZero}
	case 4:
		tags[tagExtra] = []uint32{unassociated}
	}
	for _, m := range more {
		if tags[int(m[0])] = []uint32{m[1]}; m[1] == math.MaxUint32 {
			delete(tags, int(m[0]))
		}
	}
	for tag := range 400 {
		if v := tags[tag]; v != nil && tag == tagBits {
			f.add(tag, typeShort, v...)
		} else if v != nil {
			f.add(tag, typeLong, v...)
		}
	}
	return f.bytes([]byte{1, 2, 3, 4})
}

// Files of a few bytes that claim to be huge are refused by their header. The error says all
// that matters, and no memory is taken for their pixels.
func TestClaims(t *testing.T) {
	const huge = 1 << 30
	gamma := chunk("gAMA", []byte{0, 0, 1, 0})
	for name, x := range map[string]struct {
		file []byte
		want int64 // bytes that decoding would take
	}{
		"png rgb":                   {pngOf(60000, 60000, 8, 2, 0), 60000 * 60000 * 4},
		"png rgba16":                {pngOf(16384, 16384, 16, 6, 0), 2 << 30},
		"png gray":                  {pngOf(60000, 60000, 8, 0, 0), 60000 * 60000},
		"png gray with tRNS":        {pngOf(20000, 20000, 8, 0, 0, gamma, chunk("tRNS", []byte{0, 0})), 20000 * 20000 * 4},
		"png gray16 with tRNS":      {pngOf(20000, 20000, 16, 0, 0, chunk("tRNS", []byte{0, 0})), 20000 * 20000 * 8},
		"png interlaced":            {pngOf(15000, 15000, 8, 6, 1), 15000 * 15000 * 6},
		"png palette":               {pngOf(40000, 40000, 8, 3, 0, chunk("PLTE", make([]byte, 3))), 40000 * 40000},
		"png of all there may be":   {pngOf(math.MaxInt32, math.MaxInt32, 16, 6, 0), 0},
		"jpeg gray":                 {jpegOf(65535, 65535, 0xc0, 0x11), 65535 * 65535},
		"jpeg 4:4:4":                {jpegOf(20000, 20000, 0xc0, 0x11, 0x11, 0x11), 20000 * 20000 * 3},
		"jpeg 4:2:0":                {jpegOf(40000, 20000, 0xc0, 0x22, 0x11, 0x11), 40000 * 20000 * 3 / 2},
		"jpeg progressive":          {jpegOf(10000, 10000, 0xc2, 0x11, 0x11, 0x11), 10000 * 10000 * 15},
		"jpeg cmyk progressive":     {jpegOf(10000, 10000, 0xc2, 0x11, 0x11, 0x11, 0x11), 10000 * 10000 * 24},
		"gif":                       {gifOf(65535, 65535, 65535, 65535, 0), 65535 * 65535},
		"gif interlaced":            {gifOf(65535, 65535, 30000, 20000, 0x40), 30000 * 20000 * 2},
		"bmp 24":                    {bmpOf(30000, 30000, 24), 30000 * 30000 * 4},
		"bmp 8":                     {bmpOf(40000, -40000, 8), 40000 * 40000},
		"bmp 32":                    {bmpOf(30000, math.MinInt32+1, 32), 30000 * math.MaxInt32 * 4},
		"tiff rgb":                  {tiffOf(30000, 30000, 3, 8, 1), 30000 * 30000 * 4},
		"tiff rgba16":               {tiffOf(16384, 16384, 4, 16, 1), 2 << 30},
		"tiff one bit":              {tiffOf(40000, 40000, 1, 1, 4), 40000 * 40000},
		"tiff of much":              {tiffOf(math.MaxUint32/2, math.MaxUint32/8, 1, 8, 1), math.MaxUint32 / 2 * (math.MaxUint32 / 8)},
		"tiff of more than may be":  {tiffOf(math.MaxUint32, math.MaxUint32, 4, 16, 1), 0},
		"tiff with strips of a row": {tiffOf(60000, 60000, 1, 8, 8, [2]uint32{tagRows, 1}), 60000 * 60000},
	} {
		before := allocated()
		_, err := Decode(bytes.NewReader(x.file), int64(len(x.file)), huge)
		if took := allocated() - before; took > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, took)
		}
		if x.want == 0 || strconv.IntSize == 32 && x.want > math.MaxInt32/2 { // the decoder refuses it first
			if err == nil {
				t.Errorf("%s is read", name)
			}
			continue
		}
		text := fmt.Sprintf("which need %d bytes when they are decoded, and the limit is %d: --max-bytes sets another limit", x.want, huge)
		if !errors.Is(err, samepage.ErrTooLarge) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %s", name, err, text)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A file that claims no more than the limit does not cost much more, whatever else its header
// says, though it has no pixels. If it is too small for pixels, it costs nothing.
func TestClaimsWithinTheLimit(t *testing.T) {
	const limit = 1 << 20
	for name, file := range map[string][]byte{
		"png":             pngOf(512, 512, 8, 6, 0),
		"png 16":          pngOf(362, 362, 16, 6, 0),
		"png interlaced":  pngOf(418, 418, 8, 6, 1),
		"png gray tRNS":   pngOf(512, 512, 8, 0, 0, chunk("tRNS", []byte{0, 0})),
		"jpeg":            jpegOf(591, 591, 0xc0, 0x11, 0x11, 0x11),
		"jpeg odd":        jpegOf(65535, 10, 0xc0, 0x42, 0x11, 0x11),
		"jpeg coarse":     jpegOf(65535, 1, 0xc0, 0x42, 0x11, 0x11),
		"jpeg prog":       jpegOf(264, 264, 0xc2, 0x11, 0x11, 0x11),
		"jpeg cmyk prog":  jpegOf(209, 209, 0xc2, 0x11, 0x11, 0x11, 0x11),
		"gif":             gifOf(1024, 1024, 1024, 1024, 0),
		"gif interlaced":  gifOf(724, 724, 724, 724, 0x40),
		"bmp 24":          bmpOf(512, 512, 24),
		"bmp 8":           bmpOf(1024, 1024, 8),
		"tiff":            tiffOf(512, 512, 4, 8, 1),
		"tiff far away":   tiffOf(512, 512, 4, 8, 1, [2]uint32{tagStripOffsets, math.MaxUint32}, [2]uint32{tagStripCounts, math.MaxUint32 - 1}),
		"tiff huge block": tiffOf(1000, 1000, 1, 8, 1, [2]uint32{tagTileWidth, 1000}, [2]uint32{tagTileHeight, math.MaxUint32 - 1}),
		"tiff many rows":  tiffOf(1, 1<<20, 1, 8, 1, [2]uint32{tagRows, 1}),
	} {
		before := allocated()
		if _, err := Decode(bytes.NewReader(file), int64(len(file)), limit); err == nil {
			t.Errorf("%s is read", name)
		}
		if took := allocated() - before; took > 1<<18 && !strings.HasPrefix(name, "jpeg") {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, took, len(file))
		}
		file = append(file, make([]byte, 2*limit)...) // something, at least
		before = allocated()
		p, err := Decode(bytes.NewReader(file), int64(len(file)), limit)
		// The memory of a decoder is more than its picture: tables, buffers, whole blocks
		// at the edges.
		if took := allocated() - before; took > 4*limit {
			t.Errorf("%s: %d bytes were allocated", name, took)
		}
		if err == nil {
			if !strings.HasPrefix(name, "bmp") { // any bytes are pixels there
				t.Errorf("%s without pixels is %v", name, p.Bounds())
			}
		} else if errors.Is(err, samepage.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A compressed strip with far more bytes than its pixels need is refused before it is read.
func TestTIFFBomb(t *testing.T) {
	const limit = 1 << 20
	zeros := make([]byte, 8<<20)
	deflate := encoded(t, func(w io.Writer) error {
		z := zlib.NewWriter(w)
		_, err := z.Write(zeros)
		return errors.Join(err, z.Close())
	})
	packed := bytes.Repeat([]byte{0x81, 0}, len(zeros)/128) // 128 times 0
	for name, x := range map[string]struct {
		compression uint32
		data        []byte
	}{"deflate": {compressionDeflate, deflate}, "packbits": {compressionPackBits, packed}} {
		f := tiffOf(1024, 1024, 1, 8, x.compression, [2]uint32{tagStripCounts, uint32(len(x.data))}, [2]uint32{tagStripOffsets, 600})
		f = append(append(f, make([]byte, 600-len(f))...), x.data...)
		before := allocated()
		_, err := Decode(bytes.NewReader(f), int64(len(f)), limit)
		if took := allocated() - before; took > limit {
			t.Errorf("%s: %d bytes were allocated", name, took)
		}
		if !errors.Is(err, samepage.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that has what it says is read, also with as small a limit.
	gray := image.NewGray(image.Rect(0, 0, 1024, 1024))
	for _, c := range []tiff.CompressionType{tiff.Uncompressed, tiff.Deflate} {
		f := encoded(t, func(w io.Writer) error { return tiff.Encode(w, gray, &tiff.Options{Compression: c}) })
		if _, err := Decode(bytes.NewReader(f), int64(len(f)), limit); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// The limit is exact, for pictures of all kinds as encoders make them.
func TestLimitIsExact(t *testing.T) {
	r := image.Rect(0, 0, 70, 30)
	for name, x := range map[string]struct {
		file  []byte
		bytes int64
	}{
		"png gray":   {encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewGray(r)) }), 2100},
		"png gray16": {encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewGray16(r)) }), 4200},
		"png rgba16": {encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewNRGBA64(r)) }), 16800},
		"png":        {encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewNRGBA(r)) }), 8400},
		"png table":  {encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewPaletted(r, palette.Plan9)) }), 2100},
		"jpeg":       {encoded(t, func(w io.Writer) error { return jpeg.Encode(w, image.NewNRGBA(r), nil) }), 3150},
		"jpeg gray":  {encoded(t, func(w io.Writer) error { return jpeg.Encode(w, image.NewGray(r), nil) }), 2100},
		"gif":        {encoded(t, func(w io.Writer) error { return gif.Encode(w, image.NewPaletted(r, palette.Plan9), nil) }), 2100},
		"bmp":        {encoded(t, func(w io.Writer) error { return bmp.Encode(w, image.NewRGBA(r)) }), 8400},
		"bmp gray":   {encoded(t, func(w io.Writer) error { return bmp.Encode(w, image.NewGray(r)) }), 2100},
		"tiff":       {encoded(t, func(w io.Writer) error { return tiff.Encode(w, image.NewNRGBA64(r), nil) }), 16800},
		"tiff gray":  {encoded(t, func(w io.Writer) error { return tiff.Encode(w, image.NewGray(r), nil) }), 2100},
	} {
		if _, err := Decode(bytes.NewReader(x.file), int64(len(x.file)), x.bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := Decode(bytes.NewReader(x.file), int64(len(x.file)), x.bytes-1)
		text := fmt.Sprintf("it claims 70 x 30 pixels, which need %d bytes when they are decoded, and the limit is %d", x.bytes, x.bytes-1)
		if !errors.Is(err, samepage.ErrTooLarge) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The number of pictures in a file is known; the first one is read, with its own size.
func TestPages(t *testing.T) {
	r := image.Rect(0, 0, 20, 10)
	frames := &gif.GIF{Config: image.Config{Width: 50, Height: 40, ColorModel: color.Palette(palette.Plan9)}}
	for range 3 {
		frames.Image, frames.Delay = append(frames.Image, image.NewPaletted(r, palette.Plan9)), append(frames.Delay, 1)
	}
	one := EncodeTIFF(image.NewGray(r), nil)
	// Two directories more, one of them of a smaller version; and one that is followed by
	// itself.
	pages := func(subfile ...uint32) []byte {
		b := bytes.Clone(one)
		le := binary.LittleEndian
		at := int(le.Uint32(b[4:]))
		next := at + 2 + tiffEntry*int(le.Uint16(b[at:]))
		for _, s := range subfile {
			le.PutUint32(b[next:], uint32(len(b)))
			b = le.AppendUint16(b, 1)
			b = le.AppendUint16(le.AppendUint16(b, tagSubfile), typeLong)
			b = le.AppendUint32(le.AppendUint32(b, 1), s)
			next = len(b)
			b = le.AppendUint32(b, 0)
		}
		return b
	}
	loop := bytes.Clone(one)
	at := int(binary.LittleEndian.Uint32(loop[4:]))
	binary.LittleEndian.PutUint32(loop[at+2+tiffEntry*int(binary.LittleEndian.Uint16(loop[at:])):], uint32(at))
	still := encoded(t, func(w io.Writer) error { return png.Encode(w, image.NewGray(r)) })
	moving := append(append(bytes.Clone(still[:33]), chunk("acTL", []byte{0, 0, 0, 7, 0, 0, 0, 0})...), still[33:]...)
	for name, x := range map[string]struct {
		file  []byte
		pages int
	}{
		"gif":                  {encoded(t, func(w io.Writer) error { return gif.EncodeAll(w, frames) }), 3},
		"one gif":              {encoded(t, func(w io.Writer) error { return gif.Encode(w, frames.Image[0], nil) }), 1},
		"tiff":                 {one, 1},
		"tiff of three":        {pages(0, 2), 3},
		"tiff with a thumb":    {pages(1), 1},
		"tiff with both":       {pages(1, 0), 2},
		"tiff that ends early": {pages(0)[:len(pages(0))-8], 1},
		"tiff in a circle":     {loop, 1},
		"png":                  {still, 1},
		"animated png":         {moving, 7},
	} {
		p, err := Decode(bytes.NewReader(x.file), int64(len(x.file)), DefaultLimit)
		if err != nil || p.Pages != x.pages || p.Bounds().Size() != r.Size() || p.Width != 20 || p.Height != 10 {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
}

// What is not a regular file is not opened, and nothing waits for it. Errors name the file in a
// way that does nothing to a terminal.
func TestReadFiles(t *testing.T) {
	dir := ipctest.Dir(t)
	evil := "a\x1b]0;title\a.png"
	if runtime.GOOS == "windows" {
		evil = "a\u202ecba.png" // control characters are no names there
	}
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := pngOf(5, 5, 8, 6, 0)
	for name, x := range map[string]struct {
		path string
		text string
	}{
		"missing":   {filepath.Join(dir, "missing"+evil), ""},
		"directory": {dir, "it is a directory; want a regular file"},
		"unknown":   {write(evil, []byte("text")), ErrUnknown.Error()},
		"empty":     {write("empty.png", nil), ErrUnknown.Error()},
		"cut":       {write("cut.png", cut[:20]), "unexpected EOF"},
		"no pixels": {write("none.png", cut), ""},
		"huge":      {write("huge.png", pngOf(12000, 12000, 16, 6, 0)), "1152000000 bytes"},
	} {
		_, err := Read(x.path, DefaultLimit)
		if errors.Is(err, fs.ErrNotExist) != (name == "missing") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("picture %q: ", x.path)) || !strings.Contains(err.Error(), x.text) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err2 := Measure(x.path, DefaultLimit); name != "no pixels" && fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("%s: measured: %v, read: %v", name, err2, err)
		}
		if strings.ContainsAny(err.Error(), "\x1b\u202e\a") {
			t.Errorf("%s: %q reaches a terminal", name, err)
		}
	}
}
