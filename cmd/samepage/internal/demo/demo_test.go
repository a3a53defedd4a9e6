package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // no sleep at the end of each process
	ipctest.Main(m, map[string]func([]string){
		"role": func(args []string) {
			if RunRole(args[0], os.Stdin, os.Stdout, func(error) int { return 9 }) != nil {
				os.Exit(9)
			}
		},
		"die": func([]string) { os.Exit(3) },
	})
}

// heapBlock is a block that nobody shares.
func heapBlock(size int64) *block {
	b := &block{b: make([]byte, size), status: new(atomic.Uint32)}
	b.put64(offMagic, magic)
	return b
}

// noise is a picture of random pixels, opaque or not.
func noise(r image.Rectangle) *image.RGBA {
	m := image.NewRGBA(r)
	for i := range m.Pix {
		m.Pix[i] = byte(rand.Int())
	}
	return m
}

func requestNoise(t testing.TB, b *block, w, h int, region image.Rectangle) *job {
	t.Helper()
	j := &job{sequence: 7, width: w, height: h, region: region, name: "noise"}
	var err error
	if j.source, err = b.place(j.bounds()); err != nil {
		t.Fatal(err)
	}
	copy(b.image(j.source, j.bounds()).Pix, noise(j.bounds()).Pix)
	b.request(j)
	return j
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
		src, erased, cut := noise(r), noise(r), noise(r)
		erase(src, erased, cut, c.region)
		if err := check(src, erased, cut, c.region); err != nil {
			t.Errorf("%v of %v: %v", c.region, r, err)
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
					got := int(erased.Pix[erased.PixOffset(x, y)+i])
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
	src, erased, cut := noise(r), noise(r), noise(r)
	erase(src, erased, cut, region)
	for _, m := range []*image.RGBA{erased, cut} {
		for i := range m.Pix {
			m.Pix[i] ^= 1
			if check(src, erased, cut, region) == nil {
				t.Errorf("byte %d is wrong and nobody minds", i)
			}
			m.Pix[i] ^= 1
		}
	}
}

func TestWork(t *testing.T) {
	b := heapBlock(blockSize(4 * 50 * 40))
	want := requestNoise(t, b, 50, 40, image.Rect(10, 10, 20, 30))
	work(b)
	j, err := b.readAnswer()
	if err != nil || !j.success || j.sequence != 7 || j.attempts != 1 || j.name != "noise" || j.region != want.region {
		t.Fatalf("answer %+v, %v", j, err)
	}
	r := j.bounds()
	if err := check(b.image(j.source, r), b.image(j.erased, r), b.image(j.cut, r), j.region); err != nil {
		t.Error(err)
	}
	if b.status.Load() != done {
		t.Errorf("status is %d", b.status.Load())
	}
}

// 000-25: results that do not fit are refused, and nothing is written past the
// end.
func TestResultsTooLarge(t *testing.T) {
	b := heapBlock(blockSize(4 * 50 * 40))
	requestNoise(t, b, 50, 40, image.Rect(1, 1, 2, 2))
	b.b = b.b[: len(b.b)-1 : len(b.b)-1]
	work(b)
	j, err := b.readAnswer()
	if err != nil || j.success || !strings.Contains(j.err, "do not fit") {
		t.Errorf("answer %+v, %v", j, err)
	}
	if _, err := b.place(image.Rect(0, 0, 50, 41)); !errors.Is(err, samepage.ErrTooLarge) {
		t.Errorf("place a picture that is too large: %v", err)
	}
}

// 000-26: a job that makes no sense has an answer with an error text.
func TestWorkRefuses(t *testing.T) {
	for what, spoil := range map[string]func(b *block){
		"width":          func(b *block) { b.put32(offWidth, 51) },
		"no width":       func(b *block) { b.put32(offWidth, 0) },
		"huge":           func(b *block) { b.put32(offWidth, 1<<31) },
		"stride":         func(b *block) { b.put32(offStride, 1) },
		"source offset":  func(b *block) { b.put64(offSource, 1<<63) },
		"source far":     func(b *block) { b.put64(offSource, uint64(len(b.b))) },
		"source early":   func(b *block) { b.put64(offSource, 0) },
		"source odd":     func(b *block) { b.put64(offSource, headerSize+1) },
		"source size":    func(b *block) { b.put64(offSource+8, 1<<62) },
		"region empty":   func(b *block) { b.put32(offRegion+8, 0) },
		"region outside": func(b *block) { b.put32(offRegion, 45) },
		"region huge":    func(b *block) { b.put32(offRegion+8, 1<<32-1) },
		"many died":      func(b *block) { b.put32(offAttempts, maxAttempts) },
	} {
		b := heapBlock(blockSize(4 * 50 * 40))
		requestNoise(t, b, 50, 40, image.Rect(10, 10, 20, 30))
		spoil(b)
		work(b)
		if b.u32(offSuccess) != 0 || b.text(offErrorLen, offError) == "" || b.status.Load() != done {
			t.Errorf("%s: success %d, text %q, status %d", what, b.u32(offSuccess), b.text(offErrorLen, offError), b.status.Load())
		}
	}
}

// An answer whose results cannot be where it says is refused.
func TestAnswerRefused(t *testing.T) {
	for what, spoil := range map[string]func(b *block){
		"in the header":   func(b *block) { b.put64(offErased, 0) },
		"over the source": func(b *block) { b.put64(offErased, headerSize) },
		"negative":        func(b *block) { b.put64(offErased, 1<<63) },
		"past the end":    func(b *block) { b.put64(offCut, uint64(len(b.b)-4)) },
		"over each other": func(b *block) { b.put64(offCut, b.u64(offErased)) },
		"too small":       func(b *block) { b.put64(offCut+8, 4) },
		"negative size":   func(b *block) { b.put64(offErased+8, 1<<63) },
		"another picture": func(b *block) { b.put32(offHeight, 39) },
	} {
		b := heapBlock(blockSize(4 * 50 * 40))
		requestNoise(t, b, 50, 40, image.Rect(10, 10, 20, 30))
		work(b)
		spoil(b)
		if j, err := b.readAnswer(); !errors.Is(err, errJob) {
			t.Errorf("%s: %+v, %v", what, j, err)
		}
	}
}

// Neither side falls over what the other may write.
func FuzzJob(f *testing.F) {
	b := heapBlock(blockSize(4 * 20 * 20))
	requestNoise(f, b, 20, 20, image.Rect(5, 5, 10, 10))
	f.Add(bytes.Clone(b.b[128:headerSize]))
	work(b)
	f.Add(bytes.Clone(b.b[128:headerSize]))
	f.Fuzz(func(t *testing.T, header []byte) {
		b := heapBlock(blockSize(4 * 20 * 20))
		copy(b.b[128:headerSize], header)
		if j, err := b.readAnswer(); err == nil && j.success {
			r := j.bounds()
			_ = check(b.image(j.source, r), b.image(j.erased, r), b.image(j.cut, r), j.region)
		}
		work(b)
		if j, err := b.readAnswer(); err != nil && b.u32(offSuccess) == 1 {
			t.Errorf("a success that does not read: %+v, %v", j, err)
		}
	})
}

// startWorker runs a worker in this process until the test ends.
func startWorker(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runWorker(ctx, name, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// 003-21: a worker finds what its predecessor left in whatever state, whose
// rings are lost, and the base gets its answer.
func TestWorkerTakesOver(t *testing.T) {
	ipctest.NeedNames(t)
	for what, die := range map[string]func(*block){
		"before it began": func(*block) {},
		"when it had begun": func(b *block) {
			b.status.Store(working)
			b.attempt()
		},
		"in the middle": func(b *block) {
			b.status.Store(working)
			b.attempt()
			copy(b.b[headerSize+5000:], noise(image.Rect(0, 0, 9, 9)).Pix)
			j, _ := b.read()
			if err := b.results(j); err == nil {
				b.putArea(offErased, j.erased)
			}
		},
		"before it rang": work,
	} {
		t.Run(what, func(t *testing.T) {
			ipctest.Store(t)
			bell, err := openBells("job", ipcsync.CreateEvent)
			if err != nil {
				t.Fatal(err)
			}
			defer bell.close()
			b, err := createBlock("job", 4*50*40)
			if err != nil {
				t.Fatal(err)
			}
			defer b.close()
			requestNoise(t, b, 50, 40, image.Rect(10, 10, 20, 30))
			die(b)

			startWorker(t, "job")
			ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
			defer cancel()
			if err := bell.done.Wait(ctx); err != nil {
				t.Fatal(err)
			}
			j, err := b.readAnswer()
			if b.status.Load() != done || err != nil || !j.success {
				t.Fatalf("status %d, %+v, %v", b.status.Load(), j, err)
			}
			r := j.bounds()
			if err := check(b.image(j.source, r), b.image(j.erased, r), b.image(j.cut, r), j.region); err != nil {
				t.Error(err)
			}
		})
	}
}

// 003-17: a worker without a base says so at once.
func TestWorkerWithoutBase(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	if err := runWorker(t.Context(), "job", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("worker without a base: %v", err)
	}
	m, err := samepage.Create("job", 8192, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := runWorker(t.Context(), "job", nil); !errors.Is(err, samepage.ErrCorrupt) {
		t.Errorf("worker at some other memory: %v", err)
	}
}

// watch keeps what a supervisor tells.
type watch struct{ lines []string }

func (w *watch) Started(b, k Ready)         { w.lines = append(w.lines, "started") }
func (w *watch) Restarted(int, int, string) { w.lines = append(w.lines, "restarted") }
func (w *watch) Progress(Progress)          {}
func (w *watch) Skipped(b Bad)              { w.lines = append(w.lines, "skipped "+b.Reason) }

func (w *watch) Failed(b Bad)                         { w.lines = append(w.lines, "failed "+b.Reason) }
func roleCommand(t *testing.T, role string) *exec.Cmd { return ipctest.Command(t, "role", role) }

func TestRun(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := &watch{}
	s, err := Run(t.Context(), Options{Count: 5}, func(role string) *exec.Cmd { return roleCommand(t, role) }, w)
	if err != nil || s.Pictures != 5 || s.Bytes != 5*3*4*sceneWidth*sceneHeight || s.WorkerRestarts != 0 || s.Interrupted {
		t.Errorf("%+v, %v", s, err)
	}
	if !slices.Equal(w.lines, []string{"started"}) {
		t.Errorf("told: %q", w.lines)
	}
}

// Workers that do not even start are given up.
func TestRunWorkersDieAtStart(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	_, err := Run(t.Context(), Options{Count: 5}, func(role string) *exec.Cmd {
		if role == RoleWorker {
			return ipctest.Command(t, "die")
		}
		return roleCommand(t, role)
	}, &watch{})
	if err == nil || !strings.Contains(err.Error(), "3 worker processes in a row have ended at their start, the last: exit status 3") {
		t.Error(err)
	}
	wantEmpty(t, store)
}

// The error of a process, and its exit code, is that of the demo.
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

// A demo that is interrupted before it began ends all the same.
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

// A picture that grew since the folder was scanned is told, and no more.
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
			startWorker(t, "job")
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
	scan := func() (*folder, error) { return scanFolder(t.Context(), dir, true) }
	if _, err := scan(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("x.png", []byte("text"))
	if _, err := scan(); err == nil || !strings.Contains(err.Error(), "unknown format") {
		t.Errorf("only bad pictures: %v", err)
	}
	// A header alone that claims much; its checksum is right.
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 16384, 1)))
	claim := b.Bytes()[:33]
	write("claim.png", claim)
	f, err := scan()
	if err != nil || f.most != 4*16384 {
		t.Fatalf("%+v, %v", f, err)
	}
	if _, err := f.next(); err == nil || !strings.Contains(err.Error(), "claim.png: unexpected EOF") {
		t.Errorf("a header without pixels: %v", err)
	}
	if _, err := checkSize(16384, 16384); err == nil {
		t.Error("a bomb of the largest sides is accepted")
	}
	if n, err := checkSize(10000, 10000); err != nil || n != 4e8 {
		t.Errorf("100 million pixels: %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scanFolder(ctx, dir, true); !errors.Is(err, context.Canceled) {
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
	dst := noise(bounds)
	p, _ := s.next()
	p.draw(dst)
	if !dst.Opaque() {
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

// The header is what the comment in job.go says.
func TestLayout(t *testing.T) {
	b := heapBlock(blockSize(4 * 50 * 40))
	requestNoise(t, b, 50, 40, image.Rect(10, 11, 20, 30))
	work(b)
	le := binary.LittleEndian
	if string(b.b[:8]) != "smpgDEMO" {
		t.Errorf("magic %q", b.b[:8])
	}
	for off, want := range map[int]uint32{
		132: 1, 136: 7, 144: 50, 148: 40, 152: 200, 156: 1,
		160: 4096, 168: 8000, 176: 12096, 184: 8000, 192: 20096, 200: 8000,
		208: 10, 212: 11, 216: 10, 220: 19, 224: 5, 228: 0,
	} {
		if got := le.Uint32(b.b[off:]); got != want {
			t.Errorf("word at %d is %d, want %d", off, got, want)
		}
	}
	if string(b.b[256:261]) != "noise" {
		t.Errorf("name %q", b.b[256:261])
	}
}
