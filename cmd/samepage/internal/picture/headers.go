package picture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

// Facts that the DecodeConfig functions of the decoders do not report: how much memory
// decoding needs, and whether there are further pictures.

// png reads the chunks before the pixels. Transparent colours (tRNS) give gray and RGB pixels
// an alpha channel. An interlaced picture (see IHDR) needs a pass of half its size besides
// itself. acTL has the number of frames of an animation.
func (i *Info) png(s *io.SectionReader, c image.Config) error {
	i.size(c)
	var h [8 + 13]byte
	interlaced := false
	at := int64(8)
	for range maxChunks {
		n, err := s.ReadAt(h[:], at)
		if n < 8 {
			return err
		}
		length := int64(binary.BigEndian.Uint32(h[:]))
		switch string(h[4:8]) {
		case "IHDR":
			interlaced = h[8+12] != 0
			samples := map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[h[8+9]] // by colour type
			i.least = i.packed(samples*int64(h[8+8])) / mostOfDeflate
		case "tRNS":
			switch c.ColorModel {
			case color.GrayModel:
				i.Bytes = times(i.pixels(), 4)
			case color.Gray16Model:
				i.Bytes = times(i.pixels(), 8)
			}
		case "acTL":
			if frames := binary.BigEndian.Uint32(h[8:]); frames > 1 {
				i.Pages = int(min(frames, 1<<30))
			}
		case "IDAT", "IEND":
			if interlaced {
				i.Bytes += i.Bytes / 2
			}
			return nil
		}
		at += 8 + length + 4
	}
	return fmt.Errorf("a PNG with %d chunks before its pixels", maxChunks)
}

// maxChunks is how many chunks of a PNG are skipped.
const maxChunks = 1 << 16

// jpeg looks for the frame header (SOF). It says how many samples each component has, and
// whether the picture is progressive: then its coefficients need four bytes each besides the
// samples.
func (i *Info) jpeg(r *bufio.Reader, c image.Config) error {
	i.Width, i.Height = c.Width, c.Height
	i.least = i.pixels() / mostOfJPEG
	if _, err := r.Discard(2); err != nil {
		return err
	}
	for {
		// A marker begins with 0xff. What is before it is skipped, as the decoder does.
		if _, err := r.ReadSlice(0xff); errors.Is(err, bufio.ErrBufferFull) {
			continue
		} else if err != nil {
			return err
		}
		marker, err := r.ReadByte()
		for err == nil && marker == 0xff {
			marker, err = r.ReadByte()
		}
		if err != nil {
			return err
		}
		if marker == 0 || marker >= 0xd0 && marker <= 0xd9 { // without a length
			continue
		}
		var length [2]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(length[:])) - 2
		if marker == 0xe1 && i.Orientation == 0 {
			b := make([]byte, max(n, 0))
			if _, err := io.ReadFull(r, b); err != nil {
				return err
			}
			i.Orientation = orientationOf(b)
			continue
		}
		if marker < 0xc0 || marker > 0xc2 {
			if _, err := r.Discard(max(n, 0)); err != nil {
				return err
			}
			continue
		}
		b := make([]byte, max(n, 0))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		if len(b) < 6 || len(b) < 6+3*int(b[5]) {
			return fmt.Errorf("a JPEG with a frame header of %d bytes", len(b))
		}
		i.jpegSamples(b[6:], int(b[5]), marker == 0xc2, c.ColorModel)
		return nil
	}
}

func (i *Info) jpegSamples(components []byte, n int, progressive bool, m color.Model) {
	most, all := 0, 0
	for k := range n {
		hv := int(components[3*k+1])
		of := (hv >> 4) * (hv & 15)
		most, all = max(most, of), all+of
	}
	i.Bytes = i.pixels()
	if n > 1 && most > 0 {
		i.Bytes = (times(i.pixels(), int64(all)) + int64(most) - 1) / int64(most)
	}
	if progressive {
		i.Bytes = times(i.Bytes, 1+4)
	}
	if m == color.RGBAModel || m == color.CMYKModel { // the decoder converts to these at the end
		i.Bytes += times(i.pixels(), 4)
	}
}

// gif reads all blocks: the first frame may be smaller than the screen, and there may be more
// frames.
func (i *Info) gif(r *bufio.Reader) error {
	var h [13]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	table := func(flags byte) error {
		if flags&0x80 == 0 {
			return nil
		}
		_, err := r.Discard(3 << (1 + flags&7))
		return err
	}
	blocks := func() error {
		for {
			n, err := r.ReadByte()
			if n == 0 || err != nil {
				return err
			}
			if _, err := r.Discard(int(n)); err != nil {
				return err
			}
		}
	}
	if err := table(h[10]); err != nil {
		return err
	}
	for i.Pages = 0; ; {
		kind, err := r.ReadByte()
		switch {
		case err == nil && kind == 0x21: // an extension
			if _, err = r.Discard(1); err == nil {
				err = blocks()
			}
		case err == nil && kind == 0x2c: // a frame
			var d [9]byte
			if _, err = io.ReadFull(r, d[:]); err != nil {
				break
			}
			if i.Pages++; i.Pages == 1 {
				i.Width, i.Height = int(binary.LittleEndian.Uint16(d[4:])), int(binary.LittleEndian.Uint16(d[6:]))
				i.least = i.pixels() / mostOfLZW
				if i.Bytes = i.pixels(); d[8]&0x40 != 0 { // interlaced: rows are put in order
					i.Bytes *= 2
				}
			}
			if err = table(d[8]); err == nil {
				if _, err = r.Discard(1); err == nil {
					err = blocks()
				}
			}
		default:
			if i.Pages == 0 {
				return errors.Join(errors.New("a GIF without a picture"), err)
			}
			return nil // the end, or what no decoder looks at
		}
		if err != nil {
			if i.Pages > 0 {
				return nil // the decoder reports what is missing
			}
			return err
		}
	}
}
