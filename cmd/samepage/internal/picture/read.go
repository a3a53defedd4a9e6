package picture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"samepage"
)

// DefaultLimit is how many bytes a picture may need when it is decoded, unless the user sets
// another limit: 16384 x 16384 pixels of four bytes.
const DefaultLimit = 1 << 30

// LimitOption is the option of all commands that sets another limit.
const LimitOption = "--max-bytes"

// Info is what the header of a file says about its picture.
type Info struct {
	Kind          string // "png", "jpeg", "gif", "tiff", "bmp" or "webp"
	Width, Height int    // pixels
	Bytes         int64  // needed for decoding: the pixels, and the extra of a progressive JPEG or an interlaced PNG
	Pages         int    // pictures in the file; only the first one is read
	least         int64  // the fewest bytes that a file of such a picture can have, however well it is compressed
	tiff          *tiffInfo
	// Orientation is that of EXIF. Read has turned and mirrored the picture as it says; 0 and 1: not.
	Orientation int
}

// Picture is a picture that was read. Its bounds may begin anywhere, as those of any image.
type Picture struct {
	image.Image
	Info
}

// TIFF says how EncodeTIFF writes gray as the file of p has it, if that file is a TIFF.
func (p *Picture) TIFF() *TIFFOptions {
	if p.tiff == nil {
		return nil
	}
	return &TIFFOptions{OneBit: p.tiff.bits == 1, WhiteIsZero: p.tiff.photometric == whiteIsZero}
}

// ReadableKinds names the kinds of files that Read reads, for messages and help texts.
const ReadableKinds = "PNG, JPEG, GIF, TIFF, BMP or WebP"

// Readable says whether a file with this extension may be a picture that Read reads.
func Readable(ext string) bool {
	switch strings.ToLower(ext) {
	case ".jpg", ".jpeg", ".gif", ".webp":
		return true
	}
	return Kind(ext) != ""
}

// ErrUnknown is the error about a file that is not a picture of a known kind.
var ErrUnknown = errors.New("unknown format: want " + ReadableKinds)

// errNotRegular is the end of the error about what is not a regular file.
var errNotRegular = errors.New("want a regular file")

// Read reads the first picture of a file. The picture may need up to limit bytes. Errors name
// the file, quoted: samepage.ErrTooLarge, ErrUnknown, those of package os and of the
// decoders.
func Read(path string, limit int64) (*Picture, error) {
	var p *Picture
	err := within(path, func(r io.ReaderAt, size int64) (err error) {
		p, err = Decode(r, size, limit)
		return err
	})
	return p, err
}

// Measure is Read without the pixels.
func Measure(path string, limit int64) (Info, error) {
	var i Info
	err := within(path, func(r io.ReaderAt, size int64) (err error) {
		i, err = measure(r, size, limit)
		return err
	})
	return i, err
}

// Error is an error about a file.
type Error struct {
	Path string
	Err  error // what is wrong, without the path
}

func (e *Error) Error() string { return fmt.Sprintf("picture %q: %v", e.Path, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// within opens a file, calls do, and names the file in the error.
func within(path string, do func(r io.ReaderAt, size int64) error) error {
	f, size, err := open(path)
	if err == nil {
		err = errors.Join(do(f, size), f.Close())
	}
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = fmt.Errorf("%s: %w", p.Op, p.Err) // its path is not quoted
	}
	return &Error{path, err}
}

// open opens a regular file. It never waits: neither for the other end of a pipe nor for a
// device.
func open(path string) (*os.File, int64, error) {
	st, err := os.Stat(path) // before the file is opened: opening a device may change it
	if err == nil {
		err = Regular(st)
	}
	if err != nil {
		return nil, 0, err
	}
	// The path may lead to another file since then. On Windows the flag does nothing, and
	// opening does not wait.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	if st, err = f.Stat(); err == nil {
		err = Regular(st)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

// Regular returns the error about what is not a regular file.
func Regular(st fs.FileInfo) error {
	what := ""
	switch m := st.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		what = "a directory"
	case m&fs.ModeNamedPipe != 0:
		what = "a FIFO"
	case m&fs.ModeSocket != 0:
		what = "a socket"
	case m&fs.ModeDevice != 0:
		what = "a device"
	default:
		what = "of mode " + m.String()
	}
	return fmt.Errorf("it is %s; %w", what, errNotRegular)
}

// Decode decodes the first picture of a file of size bytes. The picture may need up to limit
// bytes. Errors: samepage.ErrTooLarge, ErrUnknown, those of the decoders.
func Decode(r io.ReaderAt, size, limit int64) (*Picture, error) {
	i, err := measure(r, size, limit)
	if err != nil {
		return nil, err
	}
	if i.tiff != nil {
		if err := i.tiff.checkBlocks(r, size, limit); err != nil {
			return nil, err
		}
	}
	// A decoder must not see what was added to the file since then.
	s := io.NewSectionReader(r, 0, size)
	var img image.Image
	switch i.Kind {
	case "png":
		img, err = png.Decode(bufio.NewReader(s))
	case "jpeg":
		img, err = jpeg.Decode(bufio.NewReader(s))
	case "gif":
		img, err = gif.Decode(bufio.NewReader(s))
	case "tiff":
		img, err = tiff.Decode(s) // it reads at any offset
	case "bmp":
		img, err = bmp.Decode(bufio.NewReader(s))
	case "webp":
		if img, err = webp.Decode(bufio.NewReader(s)); err == nil {
			img = ofWebP(img)
		}
	}
	if err != nil {
		return nil, unexpected(err)
	}
	return &Picture{turned(grayBMP(img, i.Kind), i.Orientation), i}, nil
}

// grayBMP returns a BMP whose palette has all grays in order as a gray image: a BMP has no
// other way to be gray.
func grayBMP(img image.Image, kind string) image.Image {
	p, ok := img.(*image.Paletted)
	if !ok || kind != "bmp" || len(p.Palette) != 256 {
		return img
	}
	for i, c := range p.Palette {
		v := uint8(i)
		if c != (color.RGBA{v, v, v, 0xff}) {
			return img
		}
	}
	return &image.Gray{Pix: p.Pix, Stride: p.Stride, Rect: p.Rect}
}

// unexpected turns io.EOF into io.ErrUnexpectedEOF: more bytes should have come.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// measure reads the header, and refuses a picture that needs more than limit bytes.
func measure(r io.ReaderAt, size, limit int64) (Info, error) {
	i, err := header(r, size)
	if err != nil {
		return i, unexpected(err)
	}
	if i.Width < 1 || i.Height < 1 {
		return i, fmt.Errorf("a %s of %d x %d pixels", i.Kind, i.Width, i.Height)
	}
	if i.Bytes > limit {
		return i, fmt.Errorf("it claims %d x %d pixels, which need %d bytes when they are decoded, and the limit is %d: %s sets another limit: %w",
			i.Width, i.Height, i.Bytes, limit, LimitOption, samepage.ErrTooLarge)
	}
	if size < i.least {
		return i, fmt.Errorf("it claims %d x %d pixels, for which a %s needs at least %d bytes, and it has %d: %w",
			i.Width, i.Height, i.Kind, i.least, size, io.ErrUnexpectedEOF)
	}
	return i, nil
}

// header finds out the kind of a file.
func header(r io.ReaderAt, size int64) (i Info, err error) {
	s := io.NewSectionReader(r, 0, size)
	var magic [8]byte
	n, err := s.ReadAt(magic[:], 0)
	if err != nil && err != io.EOF {
		return i, err
	}
	begins := func(with string) bool { return string(magic[:min(n, len(with))]) == with }
	i.Pages = 1
	var c image.Config
	again := bufio.NewReader(io.NewSectionReader(r, 0, size))
	buffered := bufio.NewReader(io.NewSectionReader(r, 0, size))
	switch {
	case begins("\x89PNG\r\n\x1a\n"):
		i.Kind = "png"
		if c, err = png.DecodeConfig(buffered); err == nil {
			err = i.png(s, c)
		}
	case begins("\xff\xd8"):
		i.Kind = "jpeg"
		if c, err = jpeg.DecodeConfig(buffered); err == nil {
			err = i.jpeg(again, c)
			i.turn()
		}
	case begins("GIF87a"), begins("GIF89a"):
		i.Kind = "gif"
		if _, err = gif.DecodeConfig(buffered); err == nil {
			err = i.gif(again)
		}
	case begins("II*\x00"), begins("MM\x00*"):
		i.Kind = "tiff"
		if c, err = tiff.DecodeConfig(s); err == nil {
			i.size(c)
			i.tiff, err = readTIFF(s)
		} else {
			err = oddTIFF(s, err)
		}
		if err == nil {
			err = i.tiff.odd()
		}
		if err == nil {
			i.Pages, i.least = i.tiff.pages, i.tiff.least()
		}
	case begins("RIFF") && isWebP(s):
		i.Kind = "webp"
		if c, err = webp.DecodeConfig(buffered); err == nil {
			i.size(c)
			i.Bytes = times(i.pixels(), 12) // the samples, and two copies of their colours
		} else {
			err = fmt.Errorf("a WebP that is animated, or broken: %w", err)
		}
	case begins("BM"):
		i.Kind = "bmp"
		if c, err = bmp.DecodeConfig(buffered); errors.Is(err, bmp.ErrUnsupported) {
			err = oddBMP(s)
		}
		if err == nil {
			i.size(c)
			var bits [2]byte
			_, err = s.ReadAt(bits[:], 28)
			i.least = i.packed(int64(binary.LittleEndian.Uint16(bits[:])))
		}
	default:
		err = ErrUnknown
	}
	return i, err
}

// size is the number of bytes of an image of the colour model.
func (i *Info) size(c image.Config) {
	i.Width, i.Height = c.Width, c.Height
	i.Bytes = times(i.pixels(), bytesOf(c.ColorModel))
}

func (i *Info) pixels() int64 { return times(int64(i.Width), int64(i.Height)) }

// packed is how many bytes the pixels have at least, with this many bits each.
func (i *Info) packed(bits int64) int64 { return times(i.pixels(), bits) / 8 }

// The most bytes that one compressed byte can become, for each kind of compression.
const (
	mostOfDeflate  = 1032 // 258 bytes for two bits
	mostOfLZW      = 2731 // 4096 bytes for twelve bits
	mostOfPackBits = 64
	mostOfJPEG     = 512 // pixels: a block of 64 has a bit at least
)

// times multiplies without overflow. Both factors are 0 or more.
func times(a, b int64) int64 {
	const most = 1 << 62
	if a != 0 && b > most/a {
		return most
	}
	return a * b
}

// bytesOf is how many bytes a pixel takes in an image of that model.
func bytesOf(m color.Model) int64 {
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	switch m {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.YCbCrModel:
		return 3
	case color.RGBAModel, color.NRGBAModel, color.CMYKModel:
		return 4
	}
	return 8
}
