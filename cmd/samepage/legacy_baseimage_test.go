package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
	"samepage/legacy/earseimage"
)

// checkSamePicture compares two files pixel by pixel.
func checkSamePicture(t *testing.T, a, b string) {
	t.Helper()
	p, err := readImage(a)
	if err != nil {
		t.Fatal(err)
	}
	q, err := readImage(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Bounds() != q.Bounds() {
		t.Fatalf("%s is of %v, %s of %v", a, p.Bounds(), b, q.Bounds())
	}
	for y := range p.Bounds().Dy() {
		for x := range p.Bounds().Dx() {
			if c, d := color.NRGBAModel.Convert(p.At(x, y)), color.NRGBAModel.Convert(q.At(x, y)); c != d {
				t.Fatalf("pixel %d, %d is %v in %s, and %v in %s", x, y, c, a, d, b)
			}
		}
	}
}

func TestBaseImageCommands(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, "BaseImage")
	dir := ipctest.Dir(t)
	in := filepath.Join(dir, "in.png")
	img := image.NewRGBA(image.Rect(0, 0, 41, 30))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	if err := writePicture(in, img); err != nil {
		t.Fatal(err)
	}

	// A picture that stays until its sender ends. Each grab takes a signal along.
	out := filepath.Join(dir, "out.bmp")
	base := ipctest.StartCmd(t, exec.Command("samepage", "legacy", "baseimage", "send", in))
	if l := base.Line(); !strings.HasSuffix(l, "in.png: 41 x 30 pixels are in BaseImage") {
		t.Errorf("send says %q", l)
	}
	stdout, stderr, code := command(t, "legacy", "baseimage", "grab", "--out", out, "--wait", "--timeout", "5m")
	if code != 0 || !strings.HasSuffix(strings.TrimRight(stdout, "\r\n"), "out.bmp: 41 x 30 pixels, 24 bits") {
		t.Fatalf("grab says %q, %q, %d", stdout, stderr, code)
	}
	checkSamePicture(t, in, out)
	none := filepath.Join(dir, "none.png")
	if _, stderr, code := command(t, "legacy", "baseimage", "grab", "--out", none, "--timeout", "20ms"); code != 7 {
		t.Errorf("a grab after it ends with %d, %s", code, stderr)
	}
	if _, stderr, code := command(t, "legacy", "baseimage", "send", in); code != 4 || !strings.Contains(stderr, "another sender") {
		t.Errorf("a second sender ends with %d, %s", code, stderr)
	}
	if runtime.GOOS == "linux" { // where Ctrl-C can be sent
		if err := base.Cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if s := base.Wait(); s.ExitCode() != 0 {
			t.Errorf("send ends with %v", s)
		}
	}
	base.Kill()
	if _, stderr, code := command(t, "legacy", "baseimage", "grab", "--out", none); code != 10 {
		t.Errorf("a grab without a base ends with %d, %s", code, stderr)
	}

	// A program that is started, and ends; then the sender ends.
	stdout, stderr, code = command(t, "legacy", "baseimage", "send", in, "--name", "B2", "--event", "B2E", "--align", "4", "--json",
		"--start", "samepage", "--", "legacy", "baseimage", "grab", "--name", "B2", "--event", "B2E", "--out", filepath.Join(dir, "two-%03d.tif"))
	if code != 0 || !strings.Contains(stderr, "stays until samepage ends") || !strings.Contains(stdout, "two-001.tif: 41 x 30 pixels, 24 bits") {
		t.Errorf("send with a program says %q, %q, %d", stdout, stderr, code)
	}
	checkSamePicture(t, in, filepath.Join(dir, "two-001.tif"))
	stdout, stderr, code = command(t, "legacy", "baseimage", "send", in, "--start", "samepage", "--",
		"legacy", "baseimage", "grab", "--out", none, "--name", "missing")
	if code != 1 || !strings.Contains(stderr, `made the section "missing"`) {
		t.Errorf("send with a program that fails says %q, %q, %d", stdout, stderr, code)
	}

	// JSON of each.
	base = ipctest.StartCmd(t, exec.Command("samepage", "legacy", "baseimage", "send", in, "--json"))
	text := ""
	for l := base.Line(); l != "}"; l = base.Line() {
		text += l
	}
	var sent struct {
		File, Section string
		Width, Height int
	}
	if err := json.Unmarshal([]byte(text+"}"), &sent); err != nil || sent.File != in || sent.Section != "BaseImage" || sent.Width != 41 || sent.Height != 30 {
		t.Errorf("send --json prints %s}: %v", text, err)
	}
	stdout, _, code = command(t, "legacy", "baseimage", "grab", "--out", out, "--json")
	var grabbed struct {
		Pictures []struct {
			File                string
			Width, Height, Bits int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &grabbed); err != nil || code != 0 || len(grabbed.Pictures) != 1 ||
		grabbed.Pictures[0].File != out || grabbed.Pictures[0].Bits != 24 {
		t.Errorf("grab --json prints %s: %v", stdout, err)
	}
}

// What a base sends comes to files of all kinds as it was sent, whatever the fourth byte of
// a pixel is, and leaves from them as it is there.
func TestBaseImageColours(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	s, err := baseimage.CreateSender(&baseimage.SenderOptions{Name: "colours", Event: "coloursE"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, format := range []frame.Format{frame.Gray, frame.Gray16, frame.BGR, frame.BGRA} {
		f, err := frame.New(make([]byte, 1<<16), frame.Spec{Format: format, Width: 60, Height: 5})
		if err != nil {
			t.Fatal(err)
		}
		for i := range f.Pix(0) {
			f.Pix(0)[i] = byte(i * 29)
			if format == frame.BGRA && i%4 == 3 {
				f.Pix(0)[i] = []byte{0, 1, 127, 254, 255}[i/4%5]
			}
		}
		for _, ext := range []string{".png", ".tif", ".bmp"} {
			for _, drop := range []bool{false, true} {
				if runtime.GOOS == "windows" && (ext != ".png" || drop) {
					continue // what reads and writes files is the same on Linux
				}
				if err := s.SendFrame(t.Context(), f); err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(dir, fmt.Sprint(format, drop, ext))
				args := []string{"legacy", "baseimage", "grab", "--name", "colours", "--event", "coloursE", "--out", out, "--timeout", "60s"}
				if drop {
					args = append(args, "--drop-alpha")
				}
				stdout, stderr, code := command(t, args...)
				if code != 0 {
					t.Fatalf("grab says %q, %q, %d", stdout, stderr, code)
				}
				lossy := format == frame.Gray16 && ext == ".bmp"
				if told := strings.Contains(stdout, "upper 8 bits"); told != lossy {
					t.Errorf("grab of %v to %s says %q", format, ext, stdout)
				}
				got, err := readImage(out)
				if err != nil {
					t.Fatal(err)
				}
				for y := range 5 {
					for x := range 60 {
						want := f.Image().At(x, y)
						if c, ok := want.(color.NRGBA); ok && drop {
							want = color.NRGBA{c.R, c.G, c.B, 255}
						}
						if c, ok := want.(color.Gray16); ok && lossy {
							want = color.Gray{uint8(c.Y >> 8)}
						}
						c := got.At(x, y)
						if _, _, _, a := want.RGBA(); a == 0xffff {
							c, want = color.RGBA64Model.Convert(c), color.RGBA64Model.Convert(want)
						}
						if c != want {
							t.Fatalf("%s has %v at %d,%d, want %v", out, c, x, y, want)
						}
					}
				}
				if lossy || drop {
					continue
				}
				wantSentAgain(t, out, f)
			}
		}
	}
}

// wantSentAgain has the command send a file, and grabs the frame.
func wantSentAgain(t *testing.T, file string, want *frame.Frame) {
	t.Helper()
	base := ipctest.StartCmd(t, exec.Command("samepage", "legacy", "baseimage", "send", file, "--name", "again", "--event", "againE"))
	base.Line()
	r, err := baseimage.OpenReceiver(&baseimage.ReceiverOptions{Name: "again", Event: "againE", Settle: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Grab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Format() != want.Format() || !bytes.Equal(f.Pix(0), want.Pix(0)) {
		t.Errorf("%s is sent with other samples, as %v", file, f.Format())
	}
	base.Kill()
}

// Where a picture is turned as EXIF says, the programs for other programs say so.
func TestLegacySaysTurned(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, "BaseImage")
	dir := ipctest.Dir(t)
	var b bytes.Buffer
	ipctest.NoErr(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 30)), nil))
	exif := "\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
	file := filepath.Join(dir, "turned.jpg")
	ipctest.NoErr(t, os.WriteFile(file, append([]byte(exif), b.Bytes()[2:]...), 0o600))
	stdout, stderr, code := command(t, "legacy", "baseimage", "send", file, "--start", "samepage", "--", "version")
	if code != 0 || !strings.Contains(stdout, "turned.jpg: 30 x 40 pixels") || !strings.Contains(stderr, "turned.jpg is turned or mirrored as its EXIF orientation 6 says") {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
	// A source of the other protocol is a PNG, a BMP or a TIFF by its name only.
	var told earseServed
	_, err := (&earseServeOptions{limit: 1 << 20}).make(earseimage.Job{Source: file, Type: earseimage.PNG}, &told)
	ipctest.NoErr(t, err)
	told.Sizes = []int{1, 2}
	if line := told.line(false); !strings.Contains(line, "30 x 40 pixels, turned or mirrored as its EXIF orientation 6 says, results of 1 and 2 bytes") {
		t.Error(line)
	}
}
