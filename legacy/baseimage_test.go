package legacy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy"
)

func init() {
	helpers["base"] = baseProgram
	helpers["algorithm"] = baseAlgorithm
}

const (
	baseSection = "BaseImage"
	baseEvent   = "BaseImageMutex"
)

// baseStore gives a test objects of its own.
func baseStore(t testing.TB) {
	t.Helper()
	ipctest.Store(t)
	ipctest.Alone(t, baseSection)
}

var baseBare = runtime.GOOS == "windows" // objects have their bare names there

func baseFormatOf(bits int) frame.Format {
	return map[int]frame.Format{8: frame.Gray, 16: frame.Gray16, 24: frame.BGR, 32: frame.BGRA}[bits]
}

// basePainting is a frame of picture k.
func basePainting(k, width, height, bits int) *frame.Frame {
	spec := frame.Spec{Format: baseFormatOf(bits), Width: width, Height: height}
	f, err := frame.New(make([]byte, spec.Size()), spec)
	if err != nil {
		panic(err)
	}
	ipctest.Paint(f.Pix(0), k)
	return f
}

// rawBase is a base program that does as it likes.
type rawBase struct {
	mem   *samepage.Memory
	view  *samepage.View
	event *ipcsync.Event
	next  []byte // what is left of a picture that was begun; nil: none is
	at    int
}

func newRawBase(size int64, manual bool) (*rawBase, error) {
	b := &rawBase{}
	var err error
	if b.mem, _, err = samepage.OpenOrCreate(baseSection, size, &samepage.Options{Exact: baseBare}); err != nil {
		return nil, err
	}
	if b.view, err = b.mem.View(0, 0, samepage.ReadWrite); err != nil {
		return nil, err
	}
	b.event, _, err = ipcsync.OpenOrCreateEvent(baseEvent, &ipcsync.EventOptions{Exact: baseBare, Manual: manual})
	return b, err
}

func (b *rawBase) close() error {
	return errors.Join(b.view.Close(), b.mem.Close(), b.event.Close())
}

func (b *rawBase) header(length, width, height, bits int32) {
	for i, v := range []int32{length, width, height, bits} {
		w, err := b.view.Uint32(4 * i)
		if err != nil {
			panic(err)
		}
		w.Store(uint32(v))
	}
}

func (b *rawBase) length() int32 {
	w, err := b.view.Uint32(0)
	if err != nil {
		panic(err)
	}
	return int32(w.Load())
}

// begin writes the header and the first half of the pixels.
func (b *rawBase) begin(k, width, height, bits int) {
	n := width * height * bits / 8
	pix := make([]byte, n)
	ipctest.Paint(pix, k)
	b.header(int32(n), int32(width), int32(height), int32(bits))
	b.at = copy(b.view.Bytes()[16:], pix[:n/2])
	b.next = pix[n/2:]
}

// finish writes the other half, and signals.
func (b *rawBase) finish() error {
	copy(b.view.Bytes()[16+b.at:], b.next)
	b.next = nil
	return b.event.Set()
}

// baseProgram is the helper that is a base program.
func baseProgram(args []string) {
	var s *legacy.BaseImageSender
	var raw *rawBase
	do := func(cmd string, n []int) (err error) {
		switch cmd {
		case "create":
			s, err = legacy.CreateBaseImage(nil)
		case "raw": // makes the objects with nothing of package legacy
			raw, err = newRawBase(33554432, false)
		case "frame": // K WIDTH HEIGHT BITS
			err = s.SendFrame(context.Background(), basePainting(n[0], n[1], n[2], n[3]))
		case "begin": // K WIDTH HEIGHT BITS
			raw.begin(n[0], n[1], n[2], n[3])
		case "finish":
			err = raw.finish()
		case "signal":
			err = raw.event.Set()
		case "header": // LENGTH WIDTH HEIGHT BITS: and a signal
			raw.header(int32(n[0]), int32(n[1]), int32(n[2]), int32(n[3]))
			err = raw.event.Set()
		case "loop": // N MICROSECONDS WIDTH HEIGHT BITS
			f := basePainting(0, n[2], n[3], n[4])
			period := time.Duration(n[1]) * time.Microsecond
			next := time.Now()
			for k := 1; k <= n[0] && err == nil; k++ {
				ipctest.Paint(f.Pix(0), k)
				err = s.SendFrame(context.Background(), f)
				// A machine that is too slow for this leaves a pause for readers all the same.
				next = next.Add(period)
				if least := time.Now().Add(period / 2); next.Before(least) {
					next = least
				}
				time.Sleep(time.Until(next))
			}
		case "close":
			err = s.Close()
		default:
			err = errors.New("unknown command " + cmd)
		}
		return err
	}
	baseObey(func(cmd string, n []int) (string, error) { return "", do(cmd, n) })
}

// baseObey serves the lines of standard input: a command and numbers.
func baseObey(do func(cmd string, n []int) (string, error)) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		n := make([]int, len(words)-1)
		for i, w := range words[1:] {
			_, _ = fmt.Sscan(w, &n[i])
		}
		answer, err := do(words[0], n)
		if err != nil {
			fmt.Println("err", err)
			continue
		}
		fmt.Println(strings.TrimSpace("ok " + answer))
	}
}

// baseAlgorithm is the helper that is an algorithm's program.
func baseAlgorithm([]string) {
	var r *legacy.BaseImageReceiver
	grab := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
		defer cancel()
		f, err := r.Grab(ctx)
		if err != nil {
			return "", err
		}
		k, err := ipctest.Painted(f.Pix(0))
		return fmt.Sprint(k, f.Width(), f.Height(), f.Bits()), err
	}
	baseObey(func(cmd string, n []int) (answer string, err error) {
		switch cmd {
		case "open":
			r, err = legacy.OpenBaseImage(&legacy.BaseImageOptions{Settle: time.Duration(n[0]) * time.Millisecond})
		case "await":
			r, err = legacy.AwaitBaseImage(context.Background(), nil)
		case "grab":
			answer, err = grab()
		case "forever": // grabs and says so until it is killed
			for {
				if answer, err = grab(); err != nil {
					return answer, err
				}
				fmt.Println(answer)
			}
		case "close":
			err = r.Close()
		}
		return answer, err
	})
}

func startBaseHelper(t *testing.T, name, first string) *ipctest.Child {
	t.Helper()
	c := ipctest.Start(t, name)
	c.Want("ok", "%s", first)
	return c
}

func baseSender(t *testing.T, o *legacy.BaseImageOptions) *legacy.BaseImageSender {
	t.Helper()
	ipctest.NeedNames(t)
	s, err := legacy.CreateBaseImage(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noBaseError(t, s.Close()) })
	return s
}

func baseReceiver(t *testing.T, o *legacy.BaseImageOptions) *legacy.BaseImageReceiver {
	t.Helper()
	r, err := legacy.OpenBaseImage(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noBaseError(t, r.Close()) })
	return r
}

// misbehavingBase is a base program in this process that does as it likes.
func misbehavingBase(t *testing.T, size int64) *rawBase {
	t.Helper()
	ipctest.NeedNames(t)
	b, err := newRawBase(size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noBaseError(t, b.close()) })
	return b
}

func noBaseError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func basePatient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// mustGrabBase grabs picture k, whole.
func mustGrabBase(t *testing.T, r *legacy.BaseImageReceiver, k int) *frame.Frame {
	t.Helper()
	f, err := r.Grab(basePatient(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ipctest.Painted(f.Pix(0)); got != k || err != nil {
		t.Fatalf("grabbed picture %d, %v, want %d", got, err, k)
	}
	return f
}

// baseRestless settles long enough that only what the base does ends it: so a base that
// the machine does not let run is never taken for one that rests.
var baseRestless = &legacy.BaseImageOptions{Settle: 2 * ipctest.Patience}

// baseQuick does not settle: for bases that are known to rest.
var baseQuick = &legacy.BaseImageOptions{Settle: -1}

// Each kind of image arrives as it was sent, with the bits that are fit for it.
func TestBaseImagePictures(t *testing.T) {
	baseStore(t)
	const w, h = 37, 5
	fill := func(d interface {
		image.Image
		Set(x, y int, c color.Color)
	}, alpha uint8,
	) image.Image {
		b := d.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				d.Set(x, y, color.NRGBA{uint8(11 * x), uint8(50 * y), uint8(x * y), alpha})
			}
		}
		return d
	}
	r := image.Rect(3, 4, 3+w, 4+h)
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = uint8(i)
	}
	for _, c := range []struct {
		name string
		img  image.Image
		want frame.Format
	}{
		{"gray", fill(image.NewGray(r), 255), frame.Gray},
		{"part of gray", fill(image.NewGray(image.Rect(0, 0, 100, 100)), 255).(*image.Gray).SubImage(r), frame.Gray},
		{"gray 16", fill(image.NewGray16(r), 255), frame.Gray16},
		{"rgba", fill(image.NewRGBA(r), 255), frame.BGR},
		{"nrgba, opaque", fill(image.NewNRGBA(r), 255), frame.BGR},
		{"nrgba", fill(image.NewNRGBA(r), 100), frame.BGRA},
		{"YCbCr", ycc, frame.BGR},
		{"palette", image.NewPaletted(r, color.Palette{color.White}), frame.BGR},
	} {
		for _, align := range []int{1, 4, 64} {
			s := baseSender(t, &legacy.BaseImageOptions{Align: align})
			g := baseReceiver(t, baseQuick)
			noBaseError(t, s.Send(t.Context(), c.img))
			f, err := g.Grab(basePatient(t))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if f.Format() != c.want || f.Width() != w || f.Height() != h || f.Stride(0)%align != 0 {
				t.Errorf("%s with rows of %d: grabbed %v", c.name, align, f.Spec())
			}
			differing := 0
			for y := range h {
				for x := range w {
					want := color.NRGBAModel.Convert(c.img.At(r.Min.X+x, r.Min.Y+y))
					if got := color.NRGBAModel.Convert(f.Image().At(x, y)); got != want {
						differing++
					}
				}
			}
			if differing > 0 {
				t.Errorf("%s with rows of %d: %d pixels differ", c.name, align, differing)
			}
			noBaseError(t, g.Close())
			noBaseError(t, s.Close())
		}
	}
}

func TestMission003_04_BaseImageHeader(t *testing.T) {
	baseStore(t)
	s := baseSender(t, nil)
	m, err := samepage.Open(baseSection, &samepage.Options{Exact: baseBare})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Size() != 33554432 {
		t.Errorf("the section has %d bytes", m.Size())
	}
	for _, c := range []struct {
		align, width, height, bits int
		want                       [4]int32
	}{
		{1, 5, 3, 8, [4]int32{15, 5, 3, 8}},
		{4, 5, 3, 8, [4]int32{24, 5, 3, 8}},
		{4, 5, 3, 24, [4]int32{48, 5, 3, 24}},
		{1, 5, 3, 16, [4]int32{30, 5, 3, 16}},
		{1, 2048, 4095, 32, [4]int32{33546240, 2048, 4095, 32}},
	} {
		noBaseError(t, s.Close())
		s = baseSender(t, &legacy.BaseImageOptions{Align: c.align})
		f := basePainting(1, c.width, c.height, c.bits)
		noBaseError(t, s.SendFrame(t.Context(), f))
		var b [24]byte
		if _, err := m.ReadAt(b[:], 0); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if got := int32(binary.LittleEndian.Uint32(b[4*i:])); got != want {
				t.Errorf("%d x %d x %d: word %d is %d, want %d", c.width, c.height, c.bits, i, got, want)
			}
		}
		if !bytes.Equal(b[16:20], f.Pix(0)[:4]) {
			t.Errorf("the first pixels are %x, want %x", b[16:20], f.Pix(0)[:4])
		}
	}

	// What the original would write past the end.
	var before, after [64]byte
	if _, err := m.ReadAt(before[:], 0); err != nil {
		t.Fatal(err)
	}
	err = s.SendFrame(t.Context(), basePainting(2, 2048, 4096, 32))
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "33554432", "33554416")
	err = s.Send(t.Context(), image.NewNRGBA64(image.Rect(0, 0, 2048, 4096)))
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "33554432", "33554416")
	if _, err := m.ReadAt(after[:], 0); err != nil || before != after {
		t.Errorf("a picture that was refused has changed the section: %v", err)
	}
	ipctest.WantErr(t, s.Send(t.Context(), image.NewGray(image.Rectangle{})), frame.ErrSpec)
	ipctest.WantErr(t, s.SendFrame(t.Context(), &frame.Frame{}), frame.ErrSpec)

	// What the original would read past the end.
	r := baseReceiver(t, &legacy.BaseImageOptions{Settle: time.Millisecond})
	b := misbehavingBase(t, 33554432)
	for _, h := range [][4]int32{
		{-1, 640, 480, 8},
		{-2147483648, 640, 480, 8},
		{0, 640, 480, 8},
		{33554417, 640, 480, 8},
		{2147483647, 2147483647, 1, 8},
		{307200, -640, -480, 8},
		{307200, 640, -480, 8},
		{307200, 0, 480, 8},
		{307200, 640, 0, 8},
		{307200, 640, 480, 24},
		{307200, 640, 480, 0},
		{307200, 640, 480, 1},
		{307200, 640, 480, -8},
		{307199 - 480, 640, 480, 8},
		{307201, 640, 480, 8},
		{33554400, 65536, 65536, 32},
		{33554416, 1, 1, 8},
		{0, 0, 0, 0},
	} {
		b.header(h[0], h[1], h[2], h[3])
		noBaseError(t, b.event.Set())
		f, err := r.Grab(basePatient(t))
		if err == nil {
			t.Errorf("header %d is taken for %v", h, f.Spec())
			continue
		}
		ipctest.WantErr(t, err, samepage.ErrCorrupt, fmt.Sprintf("length %d, width %d, height %d, %d bits", h[0], h[1], h[2], h[3]))
	}
	b.begin(7, 640, 480, 8)
	noBaseError(t, b.finish())
	mustGrabBase(t, r, 7)
}

// Whatever stands in the header: an error, or a picture within the section.
func FuzzBaseImageHeader(f *testing.F) {
	ipctest.NeedNames(f)
	baseStore(f)
	const size = 65536
	b, err := newRawBase(size, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.close() })
	r, err := legacy.OpenBaseImage(baseQuick)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	for _, h := range [][4]int32{
		{15, 5, 3, 8},
		{14, 5, 3, 8},
		{24, 5, 3, 8},
		{0, 1, 1, 8},
		{65520, 65520, 1, 8},
		{65520, 2, 1, 8},
		{65519, 1365, 16, 24},
		{-1, -1, -1, -1},
		{-2147483648, 1, 1, 8},
		{2147483647, 46341, 46341, 8},
		{65521, 16, 16, 32},
		{65520, 16384, 3, 8},
		{65536, 16384, 1, 32},
	} {
		f.Add(h[0], h[1], h[2], h[3])
	}
	f.Fuzz(func(t *testing.T, length, width, height, bits int32) {
		b.header(length, width, height, bits)
		if err := b.event.Set(); err != nil {
			t.Fatal(err)
		}
		g, ok, err := r.TryGrab()
		if err != nil && !errors.Is(err, samepage.ErrCorrupt) || err == nil && !ok {
			t.Fatalf("%d, %d, %d, %d: %v, %v", length, width, height, bits, ok, err)
		}
		if ok && (g.Width() != int(width) || g.Height() != int(height) || g.Bits() != int(bits) || len(g.Pix(0)) > size-16) {
			t.Fatalf("%d, %d, %d, %d is %v", length, width, height, bits, g.Spec())
		}
	})
}

// Rows are packed, of a multiple of four bytes, or of what the length says; and a
// reader that was killed has left its mark.
func TestBaseImageRows(t *testing.T) {
	baseStore(t)
	b := misbehavingBase(t, 65536)
	r := baseReceiver(t, baseQuick)
	const w, h = 5, 3
	for _, c := range []struct{ length, stride int }{
		{15, 5}, {24, 8}, {3 * 17, 17}, // as they are
		{14, 5}, {23, 8}, {3*17 - 1, 17}, // with a mark
	} {
		pix := b.view.Bytes()[16:]
		for i := range pix[:100] {
			pix[i] = byte(i)
		}
		b.header(int32(c.length), w, h, 8)
		noBaseError(t, b.event.Set())
		f, err := r.Grab(basePatient(t))
		if err != nil {
			t.Fatal(err)
		}
		g := f.Image().(*image.Gray)
		if got, want := g.GrayAt(w-1, h-1).Y, uint8((h-1)*c.stride+w-1); got != want {
			t.Errorf("length %d: the last pixel is %d, want %d", c.length, got, want)
		}
		if got := int(b.length()); got != c.stride*h {
			t.Errorf("length %d: afterwards it is %d, want %d", c.length, got, c.stride*h)
		}
	}
	// One row: the mark cannot be told from a shorter padding.
	b.header(5, w, 1, 8)
	noBaseError(t, b.event.Set())
	if _, err := r.Grab(basePatient(t)); err != nil || b.length() != 5 {
		t.Errorf("one row: %v, and then the length is %d, want 5", err, b.length())
	}
}

// Alpha of programs that know none.
func TestBaseImageNoAlpha(t *testing.T) {
	baseStore(t)
	s := baseSender(t, nil)
	r := baseReceiver(t, baseQuick)
	f := basePainting(1, 8, 4, 32)
	for _, alpha := range []byte{0, 1} {
		for i := 3; i < len(f.Pix(0)); i += 4 {
			f.Pix(0)[i] = 0
		}
		f.Pix(0)[8*4*4-1] = alpha
		noBaseError(t, s.SendFrame(t.Context(), f))
		g, err := r.Grab(basePatient(t))
		if err != nil {
			t.Fatal(err)
		}
		want := byte(255)
		if alpha != 0 {
			want = 0
		}
		if got := g.Pix(0)[3]; got != want {
			t.Errorf("with one alpha of %d the first is %d, want %d", alpha, got, want)
		}
	}
}

// grabBaseLoop grabs what a base sends in a loop, which has begun, with a pause after each
// picture, until the last one. It closes r, which settles until the base does something:
// when the loop is over, and the base rests, another receiver takes what is still there.
func grabBaseLoop(t *testing.T, a *ipctest.Child, r *legacy.BaseImageReceiver, pictures int, pause func(i int) time.Duration) int {
	t.Helper()
	last, got := ipctest.GrabLoop(t, a, func(ctx context.Context) ([]byte, error) {
		f, err := r.Grab(ctx)
		if err != nil {
			return nil, err
		}
		return f.Pix(0), nil
	}, pause)
	rest := baseReceiver(t, baseQuick) // first, for the section goes with its last user
	noBaseError(t, r.Close())
	if last < pictures {
		mustGrabBase(t, rest, pictures)
		got++
	}
	noBaseError(t, rest.Close())
	return got
}

// Two hundred pictures of 6 MB a second, and a reader that is slow.
func TestMission003_06_BaseImageNotTorn(t *testing.T) {
	baseStore(t)
	const pictures = 200
	ipctest.NeedNames(t)
	a := startBaseHelper(t, "base", "create")
	r := baseReceiver(t, baseRestless)
	a.Send("loop %d 5000 1920 1080 24", pictures)
	got := grabBaseLoop(t, a, r, pictures, func(i int) time.Duration { return time.Duration(i*7%30) * time.Millisecond })
	t.Logf("%d of %d pictures", got, pictures)
}

// A base that never rests: what comes is whole, and the last one comes.
func TestMission003_06_BaseImageFlood(t *testing.T) {
	baseStore(t)
	ipctest.NeedNames(t)
	for _, side := range []int{8, 300} {
		const pictures = 5000
		a := startBaseHelper(t, "base", "create")
		r := baseReceiver(t, baseRestless)
		a.Send("loop %d 0 %d %d 8", pictures, side, side)
		got := grabBaseLoop(t, a, r, pictures, func(int) time.Duration { return 0 })
		t.Logf("%d x %d: %d of %d pictures", side, side, got, pictures)
		a.Want("ok", "close")
	}
}

// The reader comes while the next picture is being written, with the signal of the one
// before still there.
func TestMission003_06_BaseImageMidWrite(t *testing.T) {
	baseStore(t)
	b := misbehavingBase(t, 1<<20)
	const w, h = 400, 300
	// marked waits for the mark of the reader.
	marked := func(done chan string) {
		for b.length() != w*h-1 && len(done) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond) // the copy is made by now, mostly
	}
	for round := range 3 {
		k := 100 * round
		r := baseReceiver(t, baseRestless)
		b.begin(k+1, w, h, 8)
		noBaseError(t, b.finish())
		b.begin(k+2, w, h, 8) // before the reader has come
		done := grabBaseBeside(basePatient(t), r)
		marked(done)
		noBaseError(t, b.finish())
		wantBaseBeside(t, b, done, k+2, w, h)

		// Finished, and the next one begun, and finished: nobody knows of the first
		// copy. The last one comes, to who knows that the base rests.
		noBaseError(t, r.Close())
		r = baseReceiver(t, baseRestless)
		b.begin(k+53, w, h, 8)
		noBaseError(t, b.finish())
		b.begin(k+54, w, h, 8)
		ctx, stop := context.WithCancel(t.Context())
		done = grabBaseBeside(ctx, r)
		marked(done)
		noBaseError(t, b.finish())
		b.begin(k+55, w, h, 8)
		noBaseError(t, b.finish())
		marked(done)
		stop()
		switch got := <-done; got {
		case fmt.Sprint(k+55, " <nil>"):
		case fmt.Sprint(k+54, " <nil>"), context.Canceled.Error():
			quick := baseReceiver(t, baseQuick)
			mustGrabBase(t, quick, k+55)
			noBaseError(t, quick.Close())
		default:
			t.Fatalf("grabbed %s, want %d or %d, or none yet", got, k+54, k+55)
		}
		noBaseError(t, r.Close())

		// The base rests while the reader copies, and begins the next one only then:
		// the copy is whole.
		r = baseReceiver(t, baseRestless)
		b.begin(k+66, w, h, 8)
		noBaseError(t, b.finish())
		done = grabBaseBeside(basePatient(t), r)
		marked(done)
		b.begin(k+67, w, h, 8)
		wantBaseBeside(t, b, done, k+66, w, h)
		if b.next != nil {
			noBaseError(t, b.finish())
		}
		noBaseError(t, r.Close())
	}
}

// grabBaseBeside grabs beside the test, and says which picture it was, and whether it was
// whole.
func grabBaseBeside(ctx context.Context, r *legacy.BaseImageReceiver) chan string {
	done := make(chan string, 1)
	go func() {
		f, err := r.Grab(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			done <- context.Canceled.Error()
			return
		case err != nil:
			done <- err.Error()
			return
		}
		k, err := ipctest.Painted(f.Pix(0))
		done <- fmt.Sprint(k, err)
	}()
	return done
}

// wantBaseBeside wants that of grabBaseBeside to be picture k, whole. A reader that was not
// let run when the base did what was to be seen waits for what the base does next: then
// one of the next pictures, whole, is right as well.
func wantBaseBeside(t *testing.T, b *rawBase, done chan string, k, w, h int) {
	t.Helper()
	late := false
	for next := k + 2; ; {
		select {
		case got := <-done:
			for ; late && next > k && got != fmt.Sprint(next, " <nil>"); next-- {
			}
			if !late {
				next = k
			}
			if got != fmt.Sprint(next, " <nil>") {
				t.Fatalf("grabbed %s, want %d", got, k)
			}
			if next > k {
				t.Logf("the reader was late: grabbed %d, want %d", next, k)
			}
			return
		case <-time.After(2 * time.Second):
			// One step at a time, for the reader to see each.
			late = true
			if b.next != nil {
				noBaseError(t, b.finish())
			} else {
				b.begin(next, w, h, 8)
				next++
			}
		}
	}
}

// The signal of an earlier picture comes after the reader has taken one, and before it
// marks the next picture, which is being written: it is not that one's.
func TestMission003_06_BaseImageOldSignal(t *testing.T) {
	baseStore(t)
	b := misbehavingBase(t, 1<<20)
	r := baseReceiver(t, baseRestless)
	const w, h = 400, 300
	for k := 100; k <= 300; k += 100 {
		b.header(-1, w, h, 8) // the reader looks at that until it is a header
		noBaseError(t, b.event.Set())
		done := grabBaseBeside(basePatient(t), r)
		time.Sleep(50 * time.Millisecond)
		noBaseError(t, b.event.Set())
		b.begin(k, w, h, 8)
		for b.length() != w*h-1 && len(done) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		noBaseError(t, b.finish())
		wantBaseBeside(t, b, done, k, w, h)
	}
}

func TestMission003_07_BaseImageFirstFrame(t *testing.T) {
	baseStore(t)
	ipctest.NeedNames(t)
	for range 3 {
		// The algorithm first.
		c := ipctest.Start(t, "algorithm")
		c.Send("await")
		s := baseSender(t, nil)
		noBaseError(t, s.SendFrame(t.Context(), basePainting(1, 640, 480, 24)))
		if l := c.Line(); l != "ok" {
			t.Fatal(l)
		}
		c.Want("ok 1 640 480 24", "grab")
		c.Want("ok", "close")
		noBaseError(t, s.Close())

		// The base first.
		s = baseSender(t, nil)
		noBaseError(t, s.SendFrame(t.Context(), basePainting(1, 640, 480, 24)))
		c.Want("ok", "open 20")
		c.Want("ok 1 640 480 24", "grab")
		c.Want("ok", "close")

		// Opened before there is a picture: there is none, torn or empty.
		r := baseReceiver(t, nil)
		if f, ok, err := r.TryGrab(); ok || err != nil {
			t.Errorf("before the first picture there is %v, %v", f, err)
		}
		noBaseError(t, s.SendFrame(t.Context(), basePainting(2, 64, 48, 24)))
		mustGrabBase(t, r, 2)
		noBaseError(t, r.Close())
		noBaseError(t, s.Close())
	}
}

// A closed receiver and several in turn.
func TestBaseImageReceivers(t *testing.T) {
	baseStore(t)
	s := baseSender(t, nil)
	var all []*legacy.BaseImageReceiver
	var wg sync.WaitGroup
	got := make(chan int, 100)
	for range 3 {
		r := baseReceiver(t, baseQuick)
		all = append(all, r)
		wg.Go(func() {
			for {
				f, err := r.Grab(context.Background())
				if errors.Is(err, samepage.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				k, err := ipctest.Painted(f.Pix(0))
				noBaseError(t, err)
				got <- k
			}
		})
	}
	for k := 1; k <= 30; k++ { // each is had by one
		noBaseError(t, s.SendFrame(t.Context(), basePainting(k, 64, 64, 8)))
		select {
		case g := <-got:
			if g != k {
				t.Fatalf("grabbed %d, want %d", g, k)
			}
		case <-time.After(ipctest.Patience):
			t.Fatal("nobody has grabbed")
		}
	}
	for _, r := range all {
		noBaseError(t, r.Close())
		if _, err := r.Grab(t.Context()); !errors.Is(err, samepage.ErrClosed) {
			t.Error(err)
		}
		if _, _, err := r.TryGrab(); !errors.Is(err, samepage.ErrClosed) {
			t.Error(err)
		}
	}
	wg.Wait()
	noBaseError(t, s.Close())
	ipctest.WantErr(t, s.SendFrame(t.Context(), basePainting(1, 8, 8, 8)), samepage.ErrClosed)
}

func TestBaseImageOptions(t *testing.T) {
	for _, c := range []struct {
		o    legacy.BaseImageOptions
		want error
	}{
		{legacy.BaseImageOptions{Size: 16}, fs.ErrInvalid},
		{legacy.BaseImageOptions{Size: -1}, fs.ErrInvalid},
		{legacy.BaseImageOptions{Align: -1}, fs.ErrInvalid},
		{legacy.BaseImageOptions{Align: 4097}, fs.ErrInvalid},
	} {
		_, err := legacy.CreateBaseImage(&c.o)
		ipctest.WantErr(t, err, c.want)
		_, err = legacy.OpenBaseImage(&c.o)
		ipctest.WantErr(t, err, c.want)
	}
	baseStore(t)
	s := baseSender(t, &legacy.BaseImageOptions{Size: 65536})
	_, err := legacy.CreateBaseImage(nil)
	ipctest.WantErr(t, err, samepage.ErrBusy)
	r := baseReceiver(t, nil)
	noBaseError(t, s.Close())
	_, err = legacy.CreateBaseImage(nil) // the receiver's is smaller
	ipctest.WantErr(t, err, fs.ErrExist, "65536", "33554432")
	noBaseError(t, r.Close())
	noBaseError(t, baseSender(t, nil).Close())
}
