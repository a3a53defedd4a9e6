package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // no sleep at the end of each process
	grace = ipctest.Patience                     // what is killed tells no summary
	ipctest.Main(m, map[string]func([]string){
		"role": func(args []string) {
			if RunRole(args[0], os.Stdin, os.Stdout, func(error) int { return 9 }) != nil {
				os.Exit(9)
			}
		},
		"die":  func([]string) { os.Exit(3) },
		"half": halfWorker,
	})
}

// noise is a picture of random pixels, opaque or not.
func noise(r image.Rectangle) *image.NRGBA {
	m := image.NewNRGBA(r)
	for i := range m.Pix {
		m.Pix[i] = byte(rand.Int())
	}
	return m
}

func TestErase(t *testing.T) {
	for _, c := range []struct {
		w, h   int
		region image.Rectangle
	}{
		{40, 30, image.Rect(10, 10, 30, 20)},
		{40, 30, image.Rect(0, 0, 5, 5)},
		{40, 30, image.Rect(35, 25, 40, 30)},
		{40, 30, image.Rect(0, 10, 40, 20)},
		{40, 30, image.Rect(39, 0, 40, 30)},
		{40, 30, image.Rect(0, 0, 40, 30)},
		{1, 1, image.Rect(0, 0, 1, 1)},
	} {
		r := image.Rect(0, 0, c.w, c.h)
		small := image.Rect(0, 0, c.region.Dx(), c.region.Dy())
		src, erased, cut := noise(r), noise(small), noise(small)
		erase(src, erased, cut, c.region)
		a := &answer{region: c.region, erased: erased, cut: cut}
		if err := check(src, a, c.region); err != nil {
			t.Errorf("%v of %v: %v", c.region, r, err)
		}
		// The pictures that are saved.
		without, alone := results(src, a)
		for y := range c.h {
			for x := range c.w {
				w, p := src.NRGBAAt(x, y), color.NRGBA{}
				if at := image.Pt(x, y); at.In(c.region) {
					at = at.Sub(c.region.Min)
					w, p = erased.NRGBAAt(at.X, at.Y), src.NRGBAAt(x, y)
				}
				if without.NRGBAAt(x, y) != w || alone.NRGBAAt(x, y) != p {
					t.Fatalf("%v of %v: %v and %v at %d,%d, want %v and %v", c.region, r, without.NRGBAAt(x, y), alone.NRGBAAt(x, y), x, y, w, p)
				}
			}
		}
		// Each pixel is between the least and the largest of the edges.
		for y := c.region.Min.Y; y < c.region.Max.Y; y++ {
			for x := c.region.Min.X; x < c.region.Max.X; x++ {
				for i := range 4 {
					lo, hi := 255, 0
					for _, p := range []image.Point{{x, c.region.Min.Y - 1}, {x, c.region.Max.Y}, {c.region.Min.X - 1, y}, {c.region.Max.X, y}} {
						if p.In(r) {
							v := int(src.Pix[src.PixOffset(p.X, p.Y)+i])
							lo, hi = min(lo, v), max(hi, v)
						}
					}
					got := int(erased.Pix[erased.PixOffset(x-c.region.Min.X, y-c.region.Min.Y)+i])
					if c.region == r && got != 0 || c.region != r && (got < lo || got > hi) {
						t.Fatalf("%v of %v: value %d at %d,%d is %d, edges have %d to %d", c.region, r, i, x, y, got, lo, hi)
					}
				}
			}
		}
	}
}

// check finds a single wrong byte anywhere.
func TestCheckFindsEachByte(t *testing.T) {
	r, region := image.Rect(0, 0, 9, 7), image.Rect(3, 2, 6, 5)
	small := image.Rect(0, 0, 3, 3)
	src, erased, cut := noise(r), noise(small), noise(small)
	erase(src, erased, cut, region)
	a := &answer{region: region, erased: erased, cut: cut}
	for _, other := range []image.Rectangle{image.Rect(3, 2, 6, 4), image.Rect(2, 2, 5, 5)} {
		if check(src, a, other) == nil {
			t.Errorf("results of %v are those of %v", region, other)
		}
	}
	for _, m := range []*image.NRGBA{erased, cut} {
		for i := range m.Pix {
			m.Pix[i] ^= 1
			if check(src, a, region) == nil {
				t.Errorf("byte %d is wrong and nobody minds", i)
			}
			m.Pix[i] ^= 1
		}
	}
}

// watch keeps what a supervisor reports.
type watch struct{ lines []string }

func (w *watch) Started(b, k, v Ready)                  { w.lines = append(w.lines, "started") }
func (w *watch) Restarted(r string, _, _ int, _ string) { w.lines = append(w.lines, "restarted "+r) }
func (w *watch) Progress(Progress)                      {}
func (w *watch) Skipped(b Bad)                          { w.lines = append(w.lines, "skipped "+b.Reason) }

func (w *watch) LeftOut(b Bad) { w.lines = append(w.lines, "left out "+b.Reason) }
func (w *watch) Failed(b Bad)  { w.lines = append(w.lines, "failed "+b.Reason) }

func roleCommand(t *testing.T, role string) *exec.Cmd { return ipctest.Command(t, "role", role) }

func TestRun(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := &watch{}
	s, err := Run(t.Context(), Options{Count: 5}, func(role string) *exec.Cmd { return roleCommand(t, role) }, w)
	drawn, crossed := newScene(), int64(0)
	for range 5 {
		p, err := drawn.next()
		ipctest.NoErr(t, err)
		crossed += 4*sceneWidth*sceneHeight + 2*4*int64(p.region.Dx()*p.region.Dy())
	}
	if err != nil || s.Pictures != 5 || s.Bytes != crossed || s.WorkerRestarts != 0 || s.Interrupted {
		t.Errorf("%+v, %v", s, err)
	}
	// A coarse clock may show no time between publishing a frame and seeing it.
	if s.Viewer.Frames+s.Viewer.Missed != 5 || s.ViewerRestarts != 0 || s.Viewer.LatencyMax < 0 || s.Viewer.LatencyMax == 0 && runtime.GOOS != "windows" {
		t.Errorf("the viewer tells %+v", s.Viewer)
	}
	if !slices.Equal(w.lines, []string{"started"}) {
		t.Errorf("told: %q", w.lines)
	}
}

// The demo gives up if workers or viewers do not even start.
func TestRunDeathsAtStart(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	for _, bad := range []string{RoleWorker, RoleViewer} {
		_, err := Run(t.Context(), Options{Count: 5}, func(role string) *exec.Cmd {
			if role == bad {
				return ipctest.Command(t, "die")
			}
			return roleCommand(t, role)
		}, &watch{})
		if want := "3 " + bad + " processes in a row ended before they were ready, the last one with: exit status 3"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		wantEmpty(t, store)
	}
}

// The error of a process, with its exit code, is the error of the demo.
func TestRunErrors(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	_, err := Run(t.Context(), Options{Images: filepath.Join(store, "none")}, func(role string) *exec.Cmd { return roleCommand(t, role) }, &watch{})
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Code != 9 || !strings.Contains(remote.Text, "none") {
		t.Errorf("no folder: %v", err)
	}
	_, err = Run(t.Context(), Options{}, func(role string) *exec.Cmd { return exec.Command(filepath.Join(store, "none")) }, &watch{})
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no program: %v", err)
	}
	_, err = Run(t.Context(), Options{}, func(role string) *exec.Cmd { return ipctest.Command(t, "die") }, &watch{})
	if err == nil || !strings.Contains(err.Error(), "base process") {
		t.Errorf("no base: %v", err)
	}
	wantEmpty(t, store)
}

// A demo that is interrupted before it begins still ends.
func TestRunEndsAtOnce(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Run(ctx, Options{}, func(role string) *exec.Cmd { return roleCommand(t, role) }, &watch{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func wantEmpty(t *testing.T, store string) {
	t.Helper()
	infos, err := samepage.List()
	if err != nil || len(infos) > 0 {
		t.Errorf("left behind: %v, %v", infos, err)
	}
}

// A picture that grew since the folder was scanned is reported, and nothing else happens.
func TestPictureGrew(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	save := func(name string, side int) {
		if err := savePNG(filepath.Join(dir, name), noise(image.Rect(0, 0, side, side))); err != nil {
			t.Fatal(err)
		}
	}
	save("a.png", 10)
	save("b.png", 10)
	grown := false
	var told []string
	tell := func(m message) {
		switch {
		case m.Ready != nil:
			save("a.png", 100)
			grown = true
			startWorker(t, "job", func() {})
		case m.Skipped != nil:
			told = append(told, m.Skipped.Error())
		case m.Summary != nil:
			told = append(told, fmt.Sprint(m.Summary.Pictures))
		}
	}
	if err := runBase(t.Context(), "job", Options{Images: dir, Once: true}, tell); err != nil || !grown {
		t.Fatal(err)
	}
	if len(told) != 2 || !strings.Contains(told[0], "a.png: 100 x 100 pixels do not fit") || told[1] != "1" {
		t.Errorf("told: %q", told)
	}
}

func TestScanFolder(t *testing.T) {
	dir := ipctest.Dir(t)
	scan := func() (*folder, room, error) {
		f, err := scanFolder(t.Context(), &Options{Images: dir, Once: true})
		if err != nil {
			return nil, room{}, err
		}
		need, err := f.room(t.Context())
		return f, need, err
	}
	if _, _, err := scan(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("x.png", []byte("text"))
	if _, _, err := scan(); err == nil || !strings.Contains(err.Error(), "unknown format") {
		t.Errorf("only bad pictures: %v", err)
	}
	// A header alone that claims much takes no memory: it is told when its turn comes.
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 16384, 1)))
	write("claim.png", b.Bytes()[:33])
	b.Reset()
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20)))
	write("good.png", b.Bytes())
	f, need, err := scan()
	if want := roomFor(image.Pt(30, 20), image.Rect(10, 6, 20, 14)); err != nil || need != want {
		t.Fatalf("room for %+v, want %+v, %v", need, want, err)
	}
	if _, err := f.next(); err == nil || !strings.Contains(err.Error(), "claim.png: unexpected EOF") {
		t.Errorf("a header without pixels: %v", err)
	}
	// What needs too much is dropped, until nothing is left.
	if !f.drop(roomFor(image.Pt(31, 20), image.Rectangle{}), errors.New("no space")) {
		t.Error("what needs less is dropped")
	}
	if f.drop(need, errors.New("no space")) {
		t.Error("something is left")
	}
	if _, err := f.next(); err == nil || !strings.Contains(err.Error(), "good.png: no space") {
		t.Errorf("a picture that was dropped: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scanFolder(ctx, &Options{Images: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestNameOutputs(t *testing.T) {
	var fs []file
	for _, name := range []string{"a.png", "A.jpg", "a.png.jpg", "b.png", "c", "a.png.tif"} {
		fs = append(fs, file{path: filepath.Join("dir", name)})
	}
	nameOutputs(fs)
	var got []string
	for _, f := range fs {
		got = append(got, f.out)
	}
	if want := []string{"a.png", "A.jpg", "a.png.jpg", "b", "c", "a.png.tif"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	fs = []file{{path: "x.png"}, {path: "x.gif"}, {path: "x.png.png"}}
	nameOutputs(fs)
	if fs[0].out == fs[2].out {
		t.Errorf("names %q twice", fs[0].out)
	}
}

func TestScene(t *testing.T) {
	s := newScene()
	bounds := image.Rect(0, 0, sceneWidth, sceneHeight)
	regions := map[image.Rectangle]bool{}
	for range 5000 {
		p, err := s.next()
		if err != nil || p.region.Empty() || !p.region.In(bounds) {
			t.Fatalf("frame %d: region %v, %v", s.frame, p.region, err)
		}
		regions[p.region] = true
	}
	if len(regions) < 1000 {
		t.Errorf("only %d regions: it hardly moves", len(regions))
	}
	dst, err := frame.New(make([]byte, pictureSpec(bounds.Max).Size()), pictureSpec(bounds.Max))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := s.next()
	p.draw(dst)
	if !nrgba(dst).Opaque() {
		t.Error("the scene has holes")
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	if l.quantile(.5) != 0 {
		t.Error("nothing has a median")
	}
	var all []time.Duration
	for range 10000 {
		d := time.Duration(rand.ExpFloat64() * 1e6)
		all = append(all, d)
		l.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, .01, .5, .9, .99, .999} {
		want := all[int(q*float64(len(all)))]
		if got := l.quantile(q); got < want || float64(got) > float64(want)*17/16+1 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if l.quantile(1) != all[len(all)-1] || l.max != all[len(all)-1] {
		t.Errorf("largest is %v, want %v", l.max, all[len(all)-1])
	}
	for _, v := range []uint64{0, 1, 15, 16, 31, 32, 33, 1 << 20, 1<<63 - 1, 1<<64 - 1} {
		if b := bucket(v); b >= len(l.buckets) || top(b) < v || b > 0 && top(b-1) >= v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, b, top(b))
		}
	}
}
