package web

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// reading is a type that this package does not know.
type reading struct {
	Value float64
	Code  uint32
	_     uint32
}

// newestOf asks for the newest message or value.
func newestOf(t *testing.T, h http.Handler, path string) (n newest) {
	t.Helper()
	w := get(h, here+path)
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	ipctest.NoErr(t, json.Unmarshal(w.Body.Bytes(), &n))
	return n
}

// The newest message is shown as text, as the fields of its type, and in hexadecimal. Nobody joins.
func TestMessage(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	p, err := pubsub.CreatePublisher("a b?.json", &pubsub.Options{MaxSize: 100 << 10, Depth: 4, Times: true})
	ipctest.NoErr(t, err)
	defer p.Close()
	path := "/api/message/" + url.PathEscape("a b?.json")
	if w := get(h, here+path); w.Code != http.StatusNoContent {
		t.Errorf("no message yet: %d", w.Code)
	}
	ipctest.NoErr(t, p.Send(t.Context(), []byte("first")))
	ipctest.NoErr(t, p.Send(t.Context(), []byte("héllo <b>")))
	if n := newestOf(t, h, path); n.Seq != 2 || n.Size != 10 || n.Text == nil || *n.Text != "héllo <b>" || n.Hex != "68c3a96c6c6f203c623e" || time.Since(n.Time) > time.Hour || n.Value != nil {
		t.Errorf("%+v", n)
	}
	ipctest.NoErr(t, p.Send(t.Context(), []byte{0xff, 0}))
	if n := newestOf(t, h, path+"?scope=local"); n.Seq != 3 || n.Text != nil || n.Hex != "ff00" {
		t.Errorf("%+v", n)
	}
	ipctest.NoErr(t, p.Send(t.Context(), []byte(strings.Repeat("é", 50<<10))))
	if n := newestOf(t, h, path); n.Size != 100<<10 || n.Text == nil || len(*n.Text) != mostText || len(n.Hex) != 2*mostHex {
		t.Errorf("%d bytes", n.Size)
	}
	st, err := pubsub.Inspect("a b?.json", nil)
	if ipctest.NoErr(t, err); len(st.Members) != 1 {
		t.Errorf("members: %v", st.Members)
	}

	typed, err := pubsub.CreatePublisherOf[reading]("typed", nil)
	ipctest.NoErr(t, err)
	defer typed.Close()
	ipctest.NoErr(t, typed.Send(t.Context(), &reading{Value: 1.5, Code: 7}))
	if n := newestOf(t, h, "/api/message/typed"); string(n.Value) != `{"Value":1.5,"Code":7}` || n.Error != "" {
		t.Errorf("%+v", n)
	}

	c, err := cell.CreateWriterOf[reading]("typed", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	ipctest.NoErr(t, c.Set(t.Context(), &reading{Value: 2.5}))
	if n := newestOf(t, h, "/api/value/typed"); string(n.Value) != `{"Value":2.5,"Code":0}` || n.Seq != 1 {
		t.Errorf("%+v", n)
	}
}

// What Options.Match does not show, nobody can ask for.
func TestMatch(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(&Options{Match: func(i *samepage.Info) bool { return i.Name == "shown" || i.Kind == samepage.KindCell }})
	for _, name := range []string{"shown", "secret"} {
		p, err := pubsub.CreatePublisher(name, nil)
		ipctest.NoErr(t, err)
		defer p.Close()
		ipctest.NoErr(t, p.Send(t.Context(), []byte(name)))
	}
	if n := newestOf(t, h, "/api/message/shown"); *n.Text != "shown" {
		t.Errorf("%+v", n)
	}
	for _, path := range []string{"/api/message/secret", `/api/message/Local%5csecret`, "/api/frame/secret.png", "/api/value/secret", "/api/message/none", "/api/message/?name=secret"} {
		if w := get(h, here+path); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "736563") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Whatever name a request has, the answer is an error, and no file is read.
func TestHostileRequests(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	m, err := samepage.Create("memory", 8, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	for _, name := range []string{
		"none", "memory", "", ".", "..", "%2e%2e", "../memory", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%00b", "%5c%5chost%5cpipe", "CON", "a:b",
		strings.Repeat("x", 201), strings.Repeat("x", 20000), "%ff", "topic.memory",
	} {
		for _, p := range []string{"/api/message/" + name, "/api/value/" + name, "/api/frame/" + name + ".png", "/api/frame/" + name, "/api/message/?name=" + name, "/api/frame/?name=" + name + ".jpg", "/api/message/" + name + "?scope=global"} {
			w := get(h, here+p)
			if w.Code == 200 || w.Code >= 500 {
				t.Errorf("%.60q: %d %.100s", p, w.Code, w.Body)
			}
		}
	}
	for _, q := range []string{"width=0", "width=-1", "width=1000000", "width=x"} {
		if w := get(h, here+"/api/frame/none.png?"+q); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}

// A frame is sent as a picture of the size that was asked for, and a new one after a moment.
func TestPicture(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	spec := frame.Spec{Format: frame.RGB, Width: 100, Height: 50}
	p, err := frame.CreatePublisher("cam", spec, nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	if w := get(h, here+"/api/frame/cam.png"); w.Code != http.StatusNoContent {
		t.Errorf("no frame yet: %d", w.Code)
	}
	publish := func(c color.Color) {
		t.Helper()
		l, err := p.Loan(spec)
		ipctest.NoErr(t, err)
		frame.Draw(l.Frame, image.NewUniform(c))
		ipctest.NoErr(t, l.Publish(t.Context()))
	}
	red := color.RGBA{200, 0, 0, 255}
	publish(red)
	w := get(h, here+"/api/frame/cam.png?width=20")
	i, err := png.Decode(w.Body)
	ipctest.NoErr(t, err)
	if i.Bounds() != image.Rect(0, 0, 20, 10) || color.RGBAModel.Convert(i.At(19, 9)) != red || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("%v, %v", i.Bounds(), i.At(19, 9))
	}
	w = get(h, here+"/api/frame/cam.jpg")
	if i, err = jpeg.Decode(w.Body); err != nil || i.Bounds() != image.Rect(0, 0, 100, 50) {
		t.Errorf("%v, %v", i, err)
	}
	if n := newestOf(t, h, "/api/message/cam"); n.Picture == nil || *n.Picture != (picture{"rgb", 100, 50}) {
		t.Errorf("%+v", n.Picture)
	}
	blue := color.RGBA{0, 0, 200, 255}
	publish(blue)
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		i, err := png.Decode(get(h, here+"/api/frame/cam.png?width=20").Body)
		ipctest.NoErr(t, err)
		if color.RGBAModel.Convert(i.At(0, 0)) == blue {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("the picture stays the same")
		}
	}
}

// A message that says it is a frame and is none is an error.
func TestHostilePicture(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	buf := make([]byte, frame.Spec{Format: frame.NV12, Width: 64, Height: 48}.Size())
	_, err := frame.New(buf, frame.Spec{Format: frame.NV12, Width: 64, Height: 48})
	ipctest.NoErr(t, err)
	p, err := pubsub.CreatePublisher("cam", &pubsub.Options{MaxSize: len(buf), Depth: 4})
	ipctest.NoErr(t, err)
	defer p.Close()
	for cut := range 300 {
		b := bytes.Clone(buf)
		switch {
		case cut < 256:
			b[cut] ^= 0xff // no byte of the header may lead a reader astray
		default:
			b = b[:cut-256]
		}
		ipctest.NoErr(t, p.Send(t.Context(), b))
		s := &pictures{}
		if m := s.get(pictureKey{kind: samepage.KindTopic, name: "cam", format: ".jpg", width: 32}); m.err == nil && cut >= 256 {
			t.Errorf("byte %d: a picture of %d bytes", cut, len(m.body))
		}
	}
	if w := get(h, here+"/api/frame/cam.jpg"); w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Pictures that are not sent again are not kept.
func TestOldPictures(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := &pictures{}
	for width := leastWidth; width < leastWidth+10; width++ {
		for _, m := range s.made {
			m.at = m.at.Add(-pictureTime)
		}
		s.get(pictureKey{kind: samepage.KindTopic, name: "none", format: ".jpg", width: width})
	}
	if len(s.made) != 1 {
		t.Errorf("%d pictures are kept", len(s.made))
	}
}

// A scaled picture is the mean of the large one, also if it is very wide or very high.
func TestScale(t *testing.T) {
	g := image.NewGray(image.Rect(5, 5, 1005, 6))
	for x := range 1000 {
		g.SetGray(5+x, 5, color.Gray{uint8(255 * (x % 2))})
	}
	if i := scale(g, 10); i.Bounds() != image.Rect(0, 0, 10, 1) {
		t.Error(i.Bounds())
	}
	high := image.NewGray(image.Rect(0, 0, 1, 5000))
	if i := scale(high, 100); i.Bounds() != image.Rect(0, 0, 1, 100) || i.RGBAAt(0, 50) != (color.RGBA{0, 0, 0, 255}) {
		t.Error(i.Bounds(), i.RGBAAt(0, 50))
	}
}
