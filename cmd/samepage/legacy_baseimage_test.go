package main

import (
	"encoding/json"
	"image"
	"image/color"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
)

// checkSamePicture compares two files pixel by pixel.
func checkSamePicture(t *testing.T, a, b string) {
	t.Helper()
	p, err := readPicture(a)
	if err != nil {
		t.Fatal(err)
	}
	q, err := readPicture(b)
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
	stdout, stderr, code := command(t, "legacy", "baseimage", "grab", "--out", out, "--wait", "--timeout", "60s")
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
	if code != 1 || !strings.Contains(stderr, `no section "missing"`) {
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
