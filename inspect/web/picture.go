package web

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"maps"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"samepage"
	"samepage/frame"
)

const (
	mostPicture  = 256 << 20 // bytes of a frame that is shown
	mostKept     = 32 << 20  // bytes of memory that are kept for the next frame
	leastWidth   = 16        // pixels of a picture that is sent
	mostWidth    = 1280
	usualWidth   = 640
	pictureTime  = 200 * time.Millisecond // the same picture is sent so long
	mostPictures = 64                     // that are kept
	jpegQuality  = 85
)

// pictures makes small pictures of frames, one at a time, so that whatever clients ask for, at most
// one processor works for them. It sends the same picture again for pictureTime.
type pictures struct {
	mu   sync.Mutex
	made map[pictureKey]*madePicture
	buf  []byte // for the next frame
}

type pictureKey struct {
	kind        samepage.Kind
	scope, name string
	format      string
	width       int
}

type madePicture struct {
	at   time.Time
	body []byte // empty: there is no message
	err  error
}

// picture serves the newest frame of a topic, or of a cell with ?kind=cell, as PNG or JPEG.
func (s *server) picture(w http.ResponseWriter, r *http.Request) {
	k := pictureKey{kind: samepage.KindTopic, scope: r.FormValue("scope"), width: usualWidth}
	if r.FormValue("kind") == samepage.KindCell.String() {
		k.kind = samepage.KindCell
	}
	file := nameIn(r)
	k.format = path.Ext(file)
	k.name = strings.TrimSuffix(file, k.format)
	if k.format != ".png" && k.format != ".jpg" {
		http.Error(w, "want a name that ends in .png or .jpg", http.StatusNotFound)
		return
	}
	if text := r.FormValue("width"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < leastWidth || n > mostWidth {
			http.Error(w, fmt.Sprintf("width is %q, want %d to %d", text, leastWidth, mostWidth), http.StatusBadRequest)
			return
		}
		k.width = n
	}
	if !s.shown(w, k.kind, k.name, k.scope) {
		return
	}
	m := s.pictures.get(k)
	switch {
	case m.err != nil:
		fail(w, m.err)
	case len(m.body) == 0:
		w.WriteHeader(http.StatusNoContent)
	default:
		reply(w, map[string]string{".png": "image/png", ".jpg": "image/jpeg"}[k.format], m.body)
	}
}

func (p *pictures) get(k pictureKey) *madePicture {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.made[k]; m != nil && time.Since(m.at) < pictureTime {
		return m
	}
	// What is old is not sent again.
	maps.DeleteFunc(p.made, func(_ pictureKey, m *madePicture) bool { return time.Since(m.at) >= pictureTime })
	if len(p.made) >= mostPictures || p.made == nil {
		p.made = map[pictureKey]*madePicture{}
	}
	m := &madePicture{}
	m.body, m.err = p.make(k)
	m.at = time.Now()
	p.made[k] = m
	return m
}

func (p *pictures) make(k pictureKey) ([]byte, error) {
	m, _, ok, err := copyNewest(k.kind, k.name, k.scope, mostPicture, p.buf)
	if err != nil || !ok {
		return nil, err
	}
	if cap(m.Data) > cap(p.buf) && cap(m.Data) <= mostKept {
		p.buf = m.Data
	}
	if m.Size > len(m.Data) {
		return nil, fmt.Errorf("a frame of %d bytes is too large to be shown: %w", m.Size, samepage.ErrTooLarge)
	}
	f, err := frame.Open(m.Data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if small := scale(f.Image(), k.width); k.format == ".jpg" {
		err = jpeg.Encode(&b, small, &jpeg.Options{Quality: jpegQuality})
	} else {
		err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, small)
	}
	return b.Bytes(), err
}

// scale makes a picture that is at most so wide and so high. Each pixel is the mean of four of
// the large picture, so the time depends on the size of the small one only.
func scale(src image.Image, most int) *image.RGBA {
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	if w > most {
		w, h = most, max(1, h*most/w)
	}
	if h > most {
		w, h = max(1, w*most/h), most
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	at := func(i, n, of int) int { return i * of / n } // pixel i of n, in a picture with of pixels
	for y := range h {
		y0, y1 := b.Min.Y+at(4*y+1, 4*h, b.Dy()), b.Min.Y+at(4*y+3, 4*h, b.Dy())
		row := dst.Pix[y*dst.Stride:]
		for x := range w {
			x0, x1 := b.Min.X+at(4*x+1, 4*w, b.Dx()), b.Min.X+at(4*x+3, 4*w, b.Dx())
			var sum [4]uint32
			for _, q := range [4]image.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x0, Y: y1}, {X: x1, Y: y1}} {
				r, g, b, a := src.At(q.X, q.Y).RGBA()
				sum[0], sum[1], sum[2], sum[3] = sum[0]+r, sum[1]+g, sum[2]+b, sum[3]+a
			}
			for i, v := range sum {
				row[4*x+i] = uint8(v >> 10)
			}
		}
	}
	return dst
}
