package record

import (
	"bytes"
	"image"
	"image/jpeg"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"
	"google.golang.org/protobuf/reflect/protoreflect"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// paintSlope draws a picture without edges, which a JPEG keeps nearly.
func paintSlope(f *frame.Frame) {
	m := image.NewNRGBA(image.Rect(0, 0, f.Width(), f.Height()))
	for i := range m.Pix {
		x, y := i/4%f.Width(), i/4/f.Width()
		m.Pix[i] = []byte{byte(3 * x), byte(2*y + x), byte(200 - y), 255}[i%4]
	}
	frame.Draw(f, m)
}

// difference is the largest difference of two frames in a colour.
func difference(a, b *frame.Frame) (most int) {
	r := a.Image().Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			r, g, b1, _ := a.Image().At(x, y).RGBA()
			s, h, c, _ := b.Image().At(x, y).RGBA()
			for _, d := range []int{int(r) - int(s), int(g) - int(h), int(b1) - int(c)} {
				most = max(most, d>>8, -d>>8)
			}
		}
	}
	return most
}

// Frames that are recorded as JPEG are pictures for a program that has only the schema of the file,
// and frames of the same form after they are played. Those that JPEG cannot carry are the same.
func TestJPEG(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	first, second := filepath.Join(dir, "1.mcap"), filepath.Join(dir, "2.mcap")
	cam, err := frame.CreatePublisher("cam", frame.Spec{Format: frame.RGBA, Width: 64, Height: 48}, &pubsub.Options{Times: true, MaxSize: 256 << 10, EvictAfter: -1})
	ipctest.NoErr(t, err)
	notes := make(chan string, 100)
	end := start(t, Options{Path: first, JPEG: 95, Note: func(s string) { notes <- s }}, []string{"cam"})
	ipctest.NoErr(t, cam.WaitSubscribers(t.Context(), 1))
	var sent []*frame.Frame
	for i, format := range frame.Formats() {
		spec := frame.Spec{Format: format, Width: 34, Height: 26, Stride: 160, Seq: uint64(i + 1), Time: time.Unix(5, 7).UTC(), Range: frame.RangeFull, Params: "p"}
		l, err := cam.LoanExtra(spec, i%3)
		ipctest.NoErr(t, err)
		paintSlope(l.Frame)
		copy(l.Extra(), "xyz")
		f, err := frame.Open(append(bytes.Clone(l.Bytes()), l.Extra()...))
		ipctest.NoErr(t, err)
		sent = append(sent, f)
		ipctest.NoErr(t, l.Publish(t.Context()))
	}
	ipctest.NoErr(t, cam.Close())
	end()
	close(notes)
	told := ""
	for s := range notes {
		told += s + "\n"
	}
	for _, s := range []string{"a JPEG has no alpha, and rgba has", "a JPEG has 8 bits a sample, and gray16 has 16"} {
		if !strings.Contains(told, s) {
			t.Errorf("the recorder tells %q, want %q", told, s)
		}
	}

	f, err := Open(first)
	ipctest.NoErr(t, err)
	n := 0
	next, err := f.Messages(0, 1<<62, Forward, func(c *mcap.Channel) bool { return c.Topic == "cam" })
	ipctest.NoErr(t, err)
	for m, err := next(); err == nil; m, err = next() {
		want := sent[n]
		n++
		if lossy := picture.NoJPEG(want.Format()) == ""; lossy != (m.Schema != nil && m.Schema.Name == jpegName) {
			t.Fatalf("%v has the schema %v", want.Format(), m.Schema)
		} else if !lossy {
			continue
		}
		x := bySchema(t, m.Schema, m.Data)
		get := func(name string) protoreflect.Value {
			return x.Get(x.Descriptor().Fields().ByName(protoreflect.Name(name)))
		}
		if get("format").String() != "jpeg" || get("frame_id").String() != "cam" || !get("timestamp").Message().IsValid() {
			t.Errorf("%v: %v", want.Format(), x)
		}
		img, err := jpeg.Decode(bytes.NewReader(get("data").Bytes()))
		ipctest.NoErr(t, err)
		got, err := frame.New(make([]byte, want.Spec().Size()), want.Spec())
		ipctest.NoErr(t, err)
		frame.Draw(got, img)
		if d := difference(got, want); d > 20 {
			t.Errorf("%v: colours differ by %d", want.Format(), d)
		}
	}
	if n != len(sent) {
		t.Errorf("%d messages, want %d", n, len(sent))
	}

	p, err := NewPlayer(f, PlayOptions{Rate: 1e6, Wait: 1})
	ipctest.NoErr(t, err)
	end = start(t, Options{Path: second}, []string{"cam"})
	ipctest.NoErr(t, p.Play(t.Context()))
	ipctest.NoErr(t, p.Close())
	ipctest.NoErr(t, f.Close())
	end()
	played := all(t, second, same)["cam"]
	if len(played) != len(sent) {
		t.Fatalf("%d frames were played, want %d", len(played), len(sent))
	}
	for i, want := range sent {
		b := []byte(original(t, played[i]))
		got, err := frame.Open(b)
		ipctest.NoErr(t, err)
		if got.Spec() != want.Spec() || string(b[len(got.Bytes()):]) != "xyz"[:i%3] {
			t.Errorf("%v: %+v, with %q after the pixels", want.Format(), got.Spec(), b[len(got.Bytes()):])
		}
		if d := difference(got, want); d > 20 || d > 0 && picture.NoJPEG(want.Format()) != "" {
			t.Errorf("%v: colours differ by %d", want.Format(), d)
		}
	}
}

func FuzzDrawn(f *testing.F) {
	var t taker
	t.r = &Recorder{o: Options{JPEG: 50}}
	for _, format := range []frame.Format{frame.Gray, frame.NV12, frame.BGR} {
		spec := frame.Spec{Format: format, Width: 20, Height: 10}
		b := make([]byte, spec.Size()+3)
		_, err := frame.New(b, spec)
		ipctest.NoErr(f, err)
		parts, why, err := t.jpegOf(b, 5)
		ipctest.NoErr(f, err)
		if why != "" {
			f.Fatal(why)
		}
		f.Add(bytes.Join(parts[:], nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var buf []byte
		if err := drawn(b, &buf); err != nil {
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
		}
	})
}
