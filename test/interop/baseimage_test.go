//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
)

// basePicture is picture k, as cpp/baseimage.h has it.
func basePicture(k, width, height, bits int) *frame.Frame {
	format := map[int]frame.Format{8: frame.Gray, 16: frame.Gray16, 24: frame.BGR, 32: frame.BGRA}[bits]
	spec := frame.Spec{Format: format, Width: width, Height: height}
	f, err := frame.New(make([]byte, spec.Size()), spec)
	if err != nil {
		panic(err)
	}
	pix := f.Pix(0)
	for i := range pix {
		pix[i] = byte(37*k + i)
	}
	binary.LittleEndian.PutUint32(pix, uint32(k))
	return f
}

func baseReceiver(t *testing.T, settle time.Duration) *baseimage.Receiver {
	t.Helper()
	r, err := baseimage.OpenReceiver(&baseimage.ReceiverOptions{Settle: settle})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func baseSender(t *testing.T) *baseimage.Sender {
	t.Helper()
	s, _, err := baseimage.OpenOrCreateSender(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func grabBase(t *testing.T, r *baseimage.Receiver, k int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	defer cancel()
	f, err := r.Grab(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ipctest.Painted(f.Pix(0)); got != k || err != nil {
		t.Fatalf("grabbed picture %d, %v, want %d", got, err, k)
	}
}

// A thousand pictures for each pairing, one at a time.
func TestMission003_04_BaseImagePairings(t *testing.T) {
	sizes := [][3]int{{640, 480, 24}, {64, 48, 8}, {33, 7, 24}, {320, 200, 32}, {100, 100, 16}, {5, 1, 8}}
	pictures := ipctest.Exchanges(t)
	t.Run("C++ to Go", func(t *testing.T) {
		a := start(t, "baseimage_a")
		a.Want("ok", "create")
		r := baseReceiver(t, -1)
		for k := 1; k <= pictures; k++ {
			s := sizes[k%len(sizes)]
			a.Want("ok", "frame %d %d %d %d", k, s[0], s[1], s[2])
			grabBase(t, r, k)
		}
	})
	t.Run("Go to C++", func(t *testing.T) {
		s := baseSender(t)
		b := start(t, "baseimage_b")
		b.Want("ok", "open")
		for k := 1; k <= pictures; k++ {
			z := sizes[k%len(sizes)]
			if err := s.SendFrame(t.Context(), basePicture(k, z[0], z[1], z[2])); err != nil {
				t.Fatal(err)
			}
			// It may not reset the event, and need not.
			b.Want(fmt.Sprintf("ok %d %d %d %d whole reset 5", k, z[0], z[1], z[2]), "grab")
		}
	})
	t.Run("Go to Go", func(t *testing.T) {
		s := baseSender(t)
		r := baseReceiver(t, -1)
		for k := 1; k <= pictures; k++ {
			z := sizes[k%len(sizes)]
			if err := s.SendFrame(t.Context(), basePicture(k, z[0], z[1], z[2])); err != nil {
				t.Fatal(err)
			}
			grabBase(t, r, k)
		}
	})
	t.Run("C++ to C++", func(t *testing.T) { // that the two are what they are taken for
		a, b := start(t, "baseimage_a"), start(t, "baseimage_b")
		a.Want("ok", "create")
		b.Want("ok", "open")
		for k := 1; k <= 100; k++ {
			a.Want("ok", "frame %d 64 48 24", k)
			b.Want(fmt.Sprintf("ok %d 64 48 24 whole reset 5", k), "grab")
		}
	})
}

// baseRestless is a Settle that only what the base does ends: so a base that the machine
// does not let run is never taken for one that rests.
const baseRestless = 2 * ipctest.Patience

// grabBaseLoop grabs what a base sends in a loop, which has begun, with a pause after each
// picture, until the last one. When the loop is over, and the base rests, a receiver that
// does not settle takes what is still there.
func grabBaseLoop(t *testing.T, a *ipctest.Child, pictures int, pause func(i int) time.Duration) int {
	t.Helper()
	r := baseReceiver(t, baseRestless)
	last, got := ipctest.GrabLoop(t, a, func(ctx context.Context) ([]byte, error) {
		f, err := r.Grab(ctx)
		if err != nil {
			return nil, err
		}
		return f.Pix(0), nil
	}, pause)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if last < pictures {
		rest := baseReceiver(t, -1)
		grabBase(t, rest, pictures)
		got++
		if err := rest.Close(); err != nil {
			t.Error(err)
		}
	}
	return got
}

// Two hundred pictures of 6 MB a second, and a slow reader: the one in Go has none that
// is torn. The one in C++ does not see to that; what it has is told, not judged.
func TestMission003_06_BaseImageFromCpp(t *testing.T) {
	const pictures = 200
	a := start(t, "baseimage_a")
	a.Want("ok", "create")
	got := 0
	for range 3 { // each in time
		a.Send("loop %d 5000 1920 1080 24", pictures)
		got += grabBaseLoop(t, a, pictures, func(i int) time.Duration { return time.Duration(i*7%30) * time.Millisecond })
	}
	t.Logf("Go: %d of %d pictures, none torn", got, 3*pictures)

	b := start(t, "baseimage_b")
	b.Want("ok", "open")
	a.Send("loop 1000000 0 1920 1080 24")
	t.Logf("C++, with a base that never rests: %s", strings.TrimPrefix(b.Ask("many 20"), "ok "))
	a.Kill()
}

// A base that pauses in the middle of each picture, and one that dies there.
func TestMission003_06_BaseImageSlowCpp(t *testing.T) {
	a := start(t, "baseimage_a")
	a.Want("ok", "create")
	a.Want("ok", "pause 50")
	const pictures = 30
	a.Send("loop %d 60000 640 480 24", pictures)
	grabBaseLoop(t, a, pictures, func(int) time.Duration { return 0 })
	a.Want("ok", "pause 0")

	r := baseReceiver(t, 0)
	a.Want("ok", "frame 100 640 480 24") // its signal is not taken
	a.Want("ok", "begin 101 640 480 24")
	a.Send("die")
	if !a.EndsWithin(ipctest.Patience) {
		t.Fatal("the base does not die")
	}
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	defer cancel()
	if f, err := r.Grab(ctx); !errors.Is(err, samepage.ErrPeerDied) {
		t.Fatalf("of a base that died in the middle of a picture: %v, %v", f, err)
	}
	a = start(t, "baseimage_a")
	a.Want("ok", "create")
	a.Want("ok", "frame 102 640 480 24")
	grabBase(t, r, 102)
}

func TestMission003_04_BaseImageBadHeadersFromCpp(t *testing.T) {
	a := start(t, "baseimage_a")
	a.Want("ok", "create")
	r := baseReceiver(t, time.Millisecond)
	for _, h := range []string{
		"-1 640 480 24", "2147483647 640 480 24", "-2147483648 1 1 8", "33554417 1 33554417 8",
		"921600 -640 -480 24", "921600 640 480 7", "100 640 480 24", "0 0 0 0",
	} {
		a.Want("ok", "header %s", h)
		ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
		f, err := r.Grab(ctx)
		cancel()
		if !errors.Is(err, samepage.ErrCorrupt) || !strings.Contains(err.Error(), "length "+strings.Fields(h)[0]+",") {
			t.Errorf("header %s is %v, %v", h, f, err)
		}
	}
	a.Want("ok", "frame 5 640 480 24")
	grabBase(t, r, 5)
}

// Either side is killed, and comes again.
func TestMission003_21_BaseImageKillsWithCpp(t *testing.T) {
	// The C++ base, under a Go reader that stays.
	a := start(t, "baseimage_a")
	a.Want("ok", "create")
	r := baseReceiver(t, baseRestless)
	for i := range 5 {
		a.Send("loop 1000000 2000 640 480 24")
		for got := 0; ; got++ {
			ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
			f, err := r.Grab(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, samepage.ErrPeerDied) || got < 2 {
					t.Fatalf("after %d pictures: %v", got, err)
				}
				break
			}
			if _, err := ipctest.Painted(f.Pix(0)); err != nil {
				t.Fatal(err)
			}
			if got == 1 {
				time.AfterFunc(time.Duration(i)*time.Millisecond, func() { _ = a.Cmd.Process.Kill() })
			}
		}
		a.Kill()
		a = start(t, "baseimage_a")
		a.Want("ok", "create")
	}
	a.Kill()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	// Nothing of it is left, and a C++ algorithm says so.
	b := start(t, "baseimage_b")
	b.Want("err OpenEvent 2", "open")

	// The C++ algorithm, under a Go base that stays.
	s := baseSender(t)
	for k := 1; k <= 5; k++ {
		b.Want("ok", "open")
		if err := s.SendFrame(t.Context(), basePicture(k, 640, 480, 24)); err != nil {
			t.Fatal(err)
		}
		b.Want(fmt.Sprintf("ok %d 640 480 24 whole reset 5", k), "grab")
		b.Kill()
		b = start(t, "baseimage_b")
	}
	// The Go base, under a C++ algorithm that stays.
	b.Want("ok", "open")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = baseSender(t)
	if err := s.SendFrame(t.Context(), basePicture(9, 640, 480, 24)); err != nil {
		t.Fatal(err)
	}
	b.Want("ok 9 640 480 24 whole reset 5", "grab")
}

// The original opens the event with rights that do not let it reset it.
func TestMission003_16_BaseImageRightsOfCpp(t *testing.T) {
	s := baseSender(t)
	b := start(t, "baseimage_b")
	b.Want("ok", "open")
	if err := s.SendFrame(t.Context(), basePicture(1, 8, 8, 8)); err != nil {
		t.Fatal(err)
	}
	b.Want("ok 1 8 8 8 whole reset 5", "grab") // ERROR_ACCESS_DENIED
}

// The command in both roles.
func TestCommandBaseImage(t *testing.T) {
	dir := ipctest.Dir(t)
	a := start(t, "baseimage_a")
	a.Want("ok", "create")
	a.Want("ok", "frame 3 64 48 24")
	out := filepath.Join(dir, "out.png")
	samepageRun(t, "", "legacy", "baseimage", "grab", "--out", out)
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(f)
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := basePicture(3, 64, 48, 24).Image()
	if img.Bounds() != image.Rect(0, 0, 64, 48) {
		t.Fatalf("the file is of %v", img.Bounds())
	}
	for y := range 48 {
		for x := range 64 {
			r, g, b, _ := img.At(x, y).RGBA()
			wr, wg, wb, _ := want.At(x, y).RGBA()
			if r != wr || g != wg || b != wb {
				t.Fatalf("pixel %d, %d is %v, want %v", x, y, img.At(x, y), want.At(x, y))
			}
		}
	}
	commandGrabsSamples(t, a, dir)
	a.Kill()

	// A C++ algorithm grabs what the command sends.
	cmd := exec.Command(program(t, "samepage"), "legacy", "baseimage", "send", out)
	sending := ipctest.StartCmd(t, cmd)
	b := start(t, "baseimage_b")
	var l string
	for begun := time.Now(); time.Since(begun) < ipctest.Patience; time.Sleep(10 * time.Millisecond) {
		if l = b.Ask("open"); l == "ok" {
			break
		}
	}
	if l != "ok" {
		t.Fatal(l)
	}
	b.Want("ok 3 64 48 24 whole reset 5", "grab")
	sending.Kill()
}

// commandGrabsSamples has a C++ base send pictures of all depths, those of 32 bits with
// anything in the fourth byte, and holds the pixels of the command's files against them.
func commandGrabsSamples(t *testing.T, a *ipctest.Child, dir string) {
	t.Helper()
	const w, h = 64, 48
	for _, bits := range []int{8, 16, 24, 32} {
		want := basePicture(9, w, h, bits).Pix(0)
		for _, ext := range []string{".bmp", ".tif"} {
			if bits == 16 && ext == ".bmp" {
				continue // it has 8 of them
			}
			a.Want("ok", "frame 9 %d %d %d", w, h, bits)
			out := filepath.Join(dir, fmt.Sprint(bits, ext))
			samepageRun(t, "", "legacy", "baseimage", "grab", "--out", out)
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			row := w * bits / 8
			for y := range h {
				line := want[y*row:][:row]
				var got []byte
				if ext == ".bmp" { // the lower row first
					got = b[int(binary.LittleEndian.Uint32(b[10:]))+(h-1-y)*row:][:row]
				} else {
					got = bytes.Clone(b[8+y*row:][:row])
					for i := 0; bits >= 24 && i < row; i += bits / 8 {
						got[i], got[i+2] = got[i+2], got[i] // red first
					}
				}
				if !bytes.Equal(got, line) {
					t.Fatalf("%s: row %d begins with %v, want %v", out, y, got[:8], line[:8])
				}
			}
		}
	}
}
