package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/build"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	_ "image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"samepage/cmd/samepage/internal/picture"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
)

// startDemo starts the demo and returns it when all processes are ready.
func startDemo(t *testing.T, stderr *bytes.Buffer, args ...string) (c *ipctest.Child, base, worker, viewer int) {
	t.Helper()
	cmd := exec.Command("samepage", append([]string{"demo"}, args...)...)
	cmd.Stderr = stderr
	ownGroup(cmd)
	c = ipctest.StartCmd(t, cmd)
	t.Cleanup(func() {
		if t.Failed() {
			c.Kill() // nothing writes to stderr any more
			t.Logf("the demo says %s", stderr)
		}
	})
	p := match(t, c.Line(), `^base process (\d+), worker process (\d+) and viewer process (\d+) share the topic demo-\S+-frames and the service demo-\S+-worker `)
	return c, number(t, p[1]), number(t, p[2]), number(t, p[3])
}

func match(t *testing.T, line, pattern string) []string {
	t.Helper()
	p := regexp.MustCompile(pattern).FindStringSubmatch(line)
	if p == nil {
		t.Fatalf("line %q does not match %s", line, pattern)
	}
	return p
}

// find skips lines until one matches.
func find(t *testing.T, c *ipctest.Child, pattern string) []string {
	t.Helper()
	for {
		if p := regexp.MustCompile(pattern).FindStringSubmatch(c.Line()); p != nil {
			return p
		}
	}
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func killPID(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := process.Find(pid); err != nil {
			return
		}
		if time.Since(begin) > ipctest.Patience {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// wantNothingLeft fails the test when objects are left.
func wantNothingLeft(t *testing.T, store string) {
	t.Helper()
	if left := files(t, store); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if out, _, code := command(t, "ls", "--json"); code != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("ls ends with %d and shows %s", code, out)
	}
}

// 000-24, 000-26: pictures of many formats, each with two results. The test decodes them and
// compares them with its own results. Bad pictures are named and skipped.
func TestDemoImages(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	dir := ipctest.Dir(t)
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	good := fillFolder(t, in)

	stdout, stderr, code := command(t, "demo", "--images", in, "--out", out, "--json")
	var sum struct {
		Pictures, Saved int
		Skipped, Failed []struct{ File, Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v, stdout %s, stderr %s", code, err, stdout, stderr)
	}
	if sum.Pictures != len(good) || sum.Saved != 2*len(good) || len(sum.Failed) != 0 {
		t.Errorf("of %d good pictures: %d done, %d files saved, %v failed", len(good), sum.Pictures, sum.Saved, sum.Failed)
	}
	// What is bad, and the reason that is told.
	bad := map[string]string{
		"bomb.png": "a side may have at most 16384", "broken.jpg": "unknown format", "cut.png": "not enough pixel data", "empty.bmp": "unknown format",
	}
	for _, s := range sum.Skipped {
		name := filepath.Base(s.File)
		if want, ok := bad[name]; !ok || !strings.Contains(s.Reason, want) {
			t.Errorf("skipped %s: %s", name, s.Reason)
		}
		if line := fmt.Sprintf("samepage: skipped %s: %s\n", s.File, s.Reason); !strings.Contains(stderr, line) {
			t.Errorf("stderr lacks the line %q: %s", line, stderr)
		}
		delete(bad, name)
	}
	if len(bad) > 0 {
		t.Errorf("not skipped: %v", bad)
	}
	for _, name := range good {
		compareResults(t, filepath.Join(in, name), out)
	}
	if got := len(files(t, out)); got != 2*len(good) {
		t.Errorf("%d files in %s, want %d", got, out, 2*len(good))
	}
	wantNothingLeft(t, store)
}

// fillFolder copies the pictures of Go's own tests to dir, makes some of other formats and
// sizes and some bad ones, and returns the names of the good ones.
func fillFolder(t *testing.T, dir string) (good []string) {
	t.Helper()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	testdata := filepath.Join(build.Default.GOROOT, "src", "image", "testdata")
	entries, err := os.ReadDir(testdata)
	if err != nil {
		t.Skip("the pictures of Go's tests are not there:", err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(testdata, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		write(e.Name(), b)
		good = append(good, e.Name())
	}

	m := image.NewNRGBA(image.Rect(0, 0, 61, 47))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	encode := func(name string, err error) {
		if err != nil {
			t.Fatal(err)
		}
		write(name, bytes.Clone(b.Bytes()))
		good = append(good, name)
		b.Reset()
	}
	encode("a.bmp", bmp.Encode(&b, m))
	encode("a.TIF", tiff.Encode(&b, m, nil))
	encode("a.tiff", tiff.Encode(&b, m, &tiff.Options{Compression: tiff.Deflate}))
	for side := 1; side <= 3; side++ { // without edges, and with some
		encode(fmt.Sprintf("tiny%d.png", side), png.Encode(&b, m.SubImage(image.Rect(0, 0, side, side))))
	}
	encode("flat.png", png.Encode(&b, m.SubImage(image.Rect(0, 0, 60, 1))))
	encode("grün.png", png.Encode(&b, m))

	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	write("cut.png", b.Bytes()[:b.Len()/2])
	bomb := image.NewPaletted(image.Rect(0, 0, 20000, 1), color.Palette{color.Black})
	b.Reset()
	if err := png.Encode(&b, bomb); err != nil {
		t.Fatal(err)
	}
	write("bomb.png", b.Bytes())
	write("broken.jpg", []byte("no picture"))
	write("empty.bmp", nil)
	write("readme.txt", []byte("no picture, and not taken for one"))
	if err := os.Mkdir(filepath.Join(dir, "folder.png"), 0o777); err != nil {
		t.Fatal(err)
	}
	return good
}

func decode(t *testing.T, path string) *image.RGBA {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	r := image.NewRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(r, r.Rect, m, m.Bounds().Min, draw.Src)
	return r
}

// compareResults compares what was saved for a picture with the picture.
func compareResults(t *testing.T, path, out string) {
	t.Helper()
	base := filepath.Base(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	if same, _ := filepath.Glob(filepath.Join(filepath.Dir(path), stem+".*")); countStem(same, stem) > 1 {
		stem = base
	}
	src := decode(t, path)
	erased, cut := decode(t, filepath.Join(out, stem+"-erased.png")), decode(t, filepath.Join(out, stem+"-region.png"))
	if erased.Rect != src.Rect || cut.Rect != src.Rect {
		t.Errorf("%s: %v, results %v and %v", base, src.Rect, erased.Rect, cut.Rect)
		return
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	region := image.Rect(w/3, h/3, w-w/3, h-h/3)
	changed := false
	// The colours of a JPEG are computed from Y, Cb and Cr. They may differ by 1 from those of package
	// image/color.
	equal := func(a, b color.RGBA) bool { return a == b }
	if ext := filepath.Ext(path); ext == ".jpeg" || ext == ".jpg" {
		near := func(a, b uint8) bool { return max(a, b)-min(a, b) <= 1 }
		equal = func(a, b color.RGBA) bool {
			return near(a.R, b.R) && near(a.G, b.G) && near(a.B, b.B) && a.A == b.A
		}
	}
	for y := range h {
		for x := range w {
			s, e, c := src.RGBAAt(x, y), erased.RGBAAt(x, y), cut.RGBAAt(x, y)
			inside := image.Pt(x, y).In(region)
			switch {
			case !inside && (!equal(e, s) || c != color.RGBA{}), inside && !equal(c, s):
				t.Fatalf("%s at %d,%d: source %v, erased %v, region %v", base, x, y, s, e, c)
			case inside && !equal(e, s):
				changed = true
			}
		}
	}
	if !changed && w*h > 1000 {
		t.Errorf("%s: nothing is erased", base)
	}
}

func countStem(paths []string, stem string) (n int) {
	for _, p := range paths {
		if base := filepath.Base(p); strings.TrimSuffix(base, filepath.Ext(base)) == stem {
			n++
		}
	}
	return n
}

// 003-21: a killed worker is replaced, and no picture is lost. A killed viewer is replaced,
// too; nobody waits for it.
func TestDemoKilled(t *testing.T) {
	ipctest.NeedNames(t)
	// With few pictures they may be done before all are killed that are to be.
	for pictures := 150; !demoKilled(t, pictures); pictures *= 4 {
		if pictures > 100_000 {
			t.Fatalf("%d pictures are done before six processes are killed", pictures)
		}
		t.Logf("%d pictures are too few", pictures)
	}
}

// demoKilled returns false if the pictures were done too soon.
func demoKilled(t *testing.T, pictures int) bool {
	t.Helper()
	store := ipctest.Store(t)
	var stderr bytes.Buffer
	const kills = 3
	c, _, worker, viewer := startDemo(t, &stderr, "--count", strconv.Itoa(pictures))
	for range kills {
		for _, v := range []struct {
			role string
			pid  *int
		}{{"worker", &worker}, {"viewer", &viewer}} {
			if p, err := os.FindProcess(*v.pid); err == nil {
				_ = p.Kill() // unless the end has come
			}
			p := find(t, c, `^(\w+) process (\d+) has ended .*; (\w+) process (\d+) takes over$|^done: `)
			if p[1] == "" {
				c.Wait()
				return false
			}
			if p[1] != v.role || p[3] != v.role || number(t, p[2]) != *v.pid {
				t.Errorf("%s, killed was %s %d", p[0], v.role, *v.pid)
			}
			*v.pid = number(t, p[4])
		}
	}
	find(t, c, fmt.Sprintf(`^done: %d pictures in `, pictures))
	find(t, c, `^viewer: \d+ frames? seen, \d+ missed, latency from base to viewer: p50 `)
	find(t, c, fmt.Sprintf(`^%d restarts of the worker, \d+ pictures? done again$`, kills))
	find(t, c, fmt.Sprintf(`^%d restarts of the viewer$`, kills))
	if st := c.Wait(); st.ExitCode() != 0 || stderr.Len() > 0 {
		t.Errorf("demo ends with %v, stderr %s", st, &stderr)
	}
	wantNothingLeft(t, store)
	return true
}

// 003-21: without a base the demo ends and leaves nothing, even if no process could clean up.
func TestDemoBaseKilled(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	for _, all := range []bool{false, true} {
		var stderr bytes.Buffer
		c, base, worker, viewer := startDemo(t, &stderr, "--count", "0")
		// Also a polite signal ends it, where there are signals.
		if p, err := os.FindProcess(base); err != nil || all || p.Signal(syscall.SIGTERM) != nil {
			killPID(t, base)
		}
		for _, pid := range []int{worker, viewer} {
			if p, err := os.FindProcess(pid); all && err == nil {
				_ = p.Kill() // unless it has ended for want of a base
			}
		}
		if st := c.Wait(); st.ExitCode() != 1 {
			t.Errorf("demo ends with %v", st)
		}
		if want := fmt.Sprintf("samepage: demo: the base process %d has ended: ", base); !strings.HasPrefix(stderr.String(), want) {
			t.Errorf("stderr is %q, want %q", &stderr, want)
		}
		waitGone(t, worker)
		waitGone(t, viewer)
		wantNothingLeft(t, store)
	}
}

// 003-21: processes whose supervisor is killed end and leave nothing.
func TestDemoSupervisorKilled(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	for range 3 {
		var stderr bytes.Buffer
		c, base, worker, viewer := startDemo(t, &stderr, "--count", "0")
		killPID(t, c.PID())
		waitGone(t, base)
		waitGone(t, worker)
		waitGone(t, viewer)
		c.Kill()
		wantNothingLeft(t, store)
	}
}

func TestDemoInterrupted(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	var stderr bytes.Buffer
	c, base, worker, viewer := startDemo(t, &stderr, "--count", "0")
	find(t, c, `^ +[1-9]\d* pictures +\d`)
	// A terminal tells all of them.
	if err := interrupt(c.Cmd, base, worker, viewer); err != nil {
		t.Skip("no Ctrl-C can be sent here: ", err)
	}
	find(t, c, `^interrupted: [1-9]\d* pictures in `)
	if st := c.Wait(); st.ExitCode() != 130 {
		t.Errorf("demo ends with %v", st)
	}
	if want := "samepage: interrupted\n"; strings.ReplaceAll(stderr.String(), "\r", "") != want {
		t.Errorf("stderr is %q, want %q", &stderr, want)
	}
	waitGone(t, base)
	waitGone(t, worker)
	waitGone(t, viewer)
	wantNothingLeft(t, store)
}

// With --count the pictures of a folder come again and again; each bad one is named once.
func TestDemoImagesAgain(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	in := ipctest.Dir(t)
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"1.png": b.Bytes(), "2.png": b.Bytes()[:40], "3.png": b.Bytes()} {
		if err := os.WriteFile(filepath.Join(in, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := command(t, "demo", "--images", in, "--count", "9")
	if code != 0 || !strings.Contains(stdout, "done: 9 pictures") || !strings.Contains(stdout, "1 picture skipped") || strings.Count(stderr, "2.png") != 1 {
		t.Errorf("exit code %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	wantNothingLeft(t, store)
}

// Results have the samples of their picture, whatever alpha is, also in pixels that nobody can
// see.
func TestDemoKeepsAlpha(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	in, out := ipctest.Dir(t), ipctest.Dir(t)
	m := image.NewNRGBA(image.Rect(0, 0, 60, 40))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 11)
		if i%4 == 3 {
			m.Pix[i] = []byte{0, 1, 127, 254, 255}[i/4%5]
		}
	}
	region := image.Rect(20, 13, 40, 27)
	for _, ext := range []string{".png", ".tif", ".bmp"} {
		if err := writePicture(filepath.Join(in, "p"+ext[1:]+ext), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, stderr, code := command(t, "demo", "--images", in, "--out", out); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, name := range []string{"ppng", "ptif", "pbmp"} {
		for suffix, inside := range map[string]bool{"-erased.png": false, "-region.png": true} {
			got, err := readImage(filepath.Join(out, name+suffix))
			if err != nil {
				t.Fatal(err)
			}
			for y := range 40 {
				for x := range 60 {
					want := color.NRGBA{}
					switch in := image.Pt(x, y).In(region); {
					case in == inside:
						want = m.NRGBAAt(x, y)
					case in:
						continue // erased
					}
					if c := color.NRGBAModel.Convert(got.At(x, y)); c != want {
						t.Fatalf("%s%s has %v at %d,%d, want %v", name, suffix, c, x, y, want)
					}
				}
			}
		}
	}
}

// Files of the folder that are not pictures are named, and so are the further pictures of a
// file: some of them in a line each, and all with --json.
func TestDemoLeftOut(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	frames := &gif.GIF{}
	for range 3 {
		frames.Image = append(frames.Image, image.NewPaletted(image.Rect(0, 0, 30, 20), []color.Color{color.White}))
		frames.Delay = append(frames.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, frames); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"moves.gif": b.Bytes(), "one.tif": picture.EncodeTIFF(image.NewGray(image.Rect(0, 0, 9, 9)), nil), "note.txt": nil}
	for n := range 20 {
		files[fmt.Sprintf("other%d", n)] = nil
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder", "folder.png"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := command(t, "demo", "--images", dir, "--json")
	var sum struct {
		Pictures int
		LeftOut  []struct{ File, Reason string } `json:"left_out"`
	}
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != 0 || sum.Pictures != 2 {
		t.Fatalf("exit code %d, %v, %s, %s", code, err, stdout, stderr)
	}
	told := map[string]string{}
	for _, s := range sum.LeftOut {
		told[filepath.Base(s.File)] = s.Reason
	}
	for name, why := range map[string]string{
		"folder": "a directory", "folder.png": "a directory", "moves.gif": "it has 3 pictures, and only the first one is used",
		"note.txt": "its name does not end with one of .png", "other7": "its name does not end with one of .png",
	} {
		if !strings.Contains(told[name], why) {
			t.Errorf("%s is told to be %q, want %q", name, told[name], why)
		}
	}
	if len(told) != 24 {
		t.Errorf("left out: %v", told)
	}
	if n := strings.Count(stderr, "samepage: left out "); n != 11 || !strings.Contains(stderr, "left out 14 more; --json names them\n") || !strings.Contains(stderr, "folder.png: it is a directory") {
		t.Errorf("standard error has %s", stderr)
	}
	if stdout, _, _ := command(t, "demo", "--images", dir); !strings.Contains(stdout, "left out: 24 ") {
		t.Errorf("the summary is %s", stdout)
	}
}

// If standard input is a file, its length is known: nothing is written if it does not fit, and
// only the rest of the file is written.
func TestPutFile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "in")
	if err := os.WriteFile(path, []byte("0123456789"), 0o666); err != nil {
		t.Fatal(err)
	}
	put := func(from int64, args ...string) (string, int) {
		t.Helper()
		f, err := os.Open(path)
		if err == nil {
			_, err = f.Seek(from, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var stderr strings.Builder
		c := exec.Command("samepage", append([]string{"put"}, args...)...)
		c.Stdin, c.Stderr = f, &stderr
		_ = c.Run()
		return stderr.String(), c.ProcessState.ExitCode()
	}
	cat := func(want string) {
		t.Helper()
		if out, _, code := command(t, "cat", "m"); out != want || code != 0 {
			t.Errorf("memory has %q (exit code %d), want %q", out, code, want)
		}
	}
	if stderr, code := put(4, "m", "--create"); code != 0 {
		t.Fatal(code, stderr)
	}
	cat("456789")
	if stderr, code := put(0, "m"); code != 11 || !strings.Contains(stderr, "nothing was written") {
		t.Errorf("put 10 bytes into 6: exit code %d, %s", code, stderr)
	}
	cat("456789")
	if stderr, code := put(7, "m", "--offset", "1"); code != 0 {
		t.Error(code, stderr)
	}
	cat("478989")
}
