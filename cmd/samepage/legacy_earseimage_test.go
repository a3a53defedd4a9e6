package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// dots is a picture of which no two pixels near each other are alike, and none is white.
func dots(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{uint8(x * 7), uint8(y * 11), uint8(x ^ y), 255})
		}
	}
	return img
}

// wantErased holds the two files of a request against what they should be.
func wantErased(t *testing.T, source *image.NRGBA, region image.Rectangle, out1, out2 string) {
	t.Helper()
	for i, path := range []string{out1, out2} {
		got, err := readImage(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if got.Bounds() != source.Bounds() {
			t.Errorf("%s has %v, want %v", path, got.Bounds(), source.Bounds())
			continue
		}
		for y := range source.Rect.Dy() {
			for x := range source.Rect.Dx() {
				want := color.NRGBA{255, 255, 255, 255}
				if image.Pt(x, y).In(region) == (i == 1) {
					want = source.NRGBAAt(x, y)
				}
				if c := color.NRGBAModel.Convert(got.At(x, y)); c != want {
					t.Fatalf("%s has %v at %d,%d, want %v", path, c, x, y, want)
				}
			}
		}
	}
}

// A request and a worker in processes of their own: pictures of all kinds, what cannot
// be done, and the ends.
func TestLegacyEarseImage(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	source := dots(40, 30)
	for _, name := range []string{"a.png", "b.bmp", "c.tif", "d.TIFF"} {
		if err := writePicture(at(name), source); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bad.png", "photo.jpg"} {
		if err := os.WriteFile(at(name), []byte("not a picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	request := func(name string, more ...string) (stdout, stderr string, code int) {
		t.Helper()
		return command(t, append([]string{"legacy", "earseimage", "request", at(name), "--out1", at("1.png"), "--out2", at("2.bmp"), "--timeout", "5m"}, more...)...)
	}
	if _, stderr, code := request("a.png"); code != 10 || !strings.Contains(stderr, "the other process is not running") {
		t.Errorf("without a worker: %d, %s", code, stderr)
	}
	for _, c := range []struct {
		flags  []string
		region image.Rectangle
	}{
		{nil, image.Rect(10, 7, 30, 23)}, // the middle half
		{[]string{"--region", "5,0,10x12"}, image.Rect(5, 0, 15, 12)},
		{[]string{"--region", "30,20,1000x2147483647", "--json"}, image.Rect(30, 20, 40, 30)},
	} {
		worker := startProcess(t, append([]string{"legacy", "earseimage", "serve"}, c.flags...)...)
		lines := bufio.NewReader(worker.out)
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if _, stderr, code := request("a.png"); code == 0 {
				break
			} else if code != 10 || time.Since(begun) > ipctest.Patience {
				t.Fatalf("%d, %s", code, stderr)
			}
		}
		worker.line(lines)
		for name, kind := range map[string]string{"a.png": "PNG", "b.bmp": "BMP", "c.tif": "TIFF", "d.TIFF": "TIFF"} {
			stdout, stderr, code := request(name, "--json")
			var res earseResults
			if err := json.Unmarshal([]byte(stdout), &res); err != nil || code != 0 {
				t.Fatalf("%s: %d, %v, %s", name, code, err, stderr)
			}
			want := earseResults{at(name), kind, []earseResult{{at("1.png"), kind, 0, 40, 30}, {at("2.bmp"), kind, 0, 40, 30}}}
			for i := range res.Results {
				if res.Results[i].Size < 100 {
					t.Errorf("%s: result %d has %d bytes", name, i, res.Results[i].Size)
				}
				res.Results[i].Size = 0
			}
			if fmt.Sprint(res) != fmt.Sprint(want) {
				t.Errorf("told %v, want %v", res, want)
			}
			wantErased(t, source, c.region, at("1.png"), at("2.bmp"))
			if l := worker.line(lines); !strings.Contains(l, name) || !strings.Contains(l, kind) {
				t.Errorf("the worker says %s", l)
			}
		}
		if stdout, _, _ := request("a.png"); !strings.Contains(stdout, "1.png: 40 x 30 pixels, from PNG of ") {
			t.Errorf("request says %s", stdout)
		}
		worker.line(lines)
		for name, text := range map[string]string{
			"bad.png": "unknown format", "missing.png": "missing.png", "photo.jpg": "this worker makes PNG, TIFF or BMP",
		} {
			_, stderr, code := request(name)
			if code != 1 || !strings.Contains(stderr, "the worker could not do the job: ") || !strings.Contains(stderr, text) {
				t.Errorf("%s: %d, %s", name, code, stderr)
			}
			if l := worker.line(lines); !strings.Contains(l, name) || !strings.Contains(l, text) {
				t.Errorf("the worker says %s", l)
			}
		}
		if _, stderr, code := command(t, "legacy", "earseimage", "serve"); code != 4 || !strings.Contains(stderr, "EarseImage") {
			t.Errorf("a second worker: %d, %s", code, stderr)
		}
		if err := interrupt(worker.cmd); err != nil {
			t.Log("no Ctrl-C can be sent here: ", err)
			_ = worker.cmd.Process.Kill()
			_ = worker.cmd.Wait()
			continue
		}
		rest, _ := io.ReadAll(lines)
		worker.want(0, "waiting for jobs until Ctrl-C")
		if len(rest) > 0 || strings.Count(worker.err.String(), "\n") != 1 {
			t.Errorf("at its end the worker says %q and %q", rest, worker.err.String())
		}
	}
	if _, stderr, code := request("a.png"); code != 10 {
		t.Errorf("without a worker: %d, %s", code, stderr)
	}
}

// A worker whose lines nobody reads ends.
func TestLegacyEarseImageMute(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	path := filepath.Join(dir, "a.png")
	if err := writePicture(path, dots(8, 8)); err != nil {
		t.Fatal(err)
	}
	worker := startProcess(t, "legacy", "earseimage", "serve")
	_ = worker.out.Close()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, stderr, code := command(t, "legacy", "earseimage", "request", path, "--out1", filepath.Join(dir, "1.png"), "--out2", filepath.Join(dir, "2.png"))
		if code != 10 {
			break
		} else if time.Since(begun) > ipctest.Patience {
			t.Fatal(stderr)
		}
	}
	late := time.AfterFunc(ipctest.Patience, func() { _ = worker.cmd.Process.Kill() })
	_ = worker.cmd.Wait()
	if !late.Stop() || worker.cmd.ProcessState.Success() {
		t.Errorf("the worker ends with %v: %s", worker.cmd.ProcessState, worker.err.String())
	}
}

func TestParseRegion(t *testing.T) {
	for _, bad := range []string{"", "1,2", "1,2,3", "1,2,3x", "-1,2,3x4", "1,2,0x4", "1,2,3x4x5", "1,2,3x4 5", "1,2,3x4,", "1,2,3x9999999999", "a"} {
		if r, err := parseRegion(bad); err == nil {
			t.Errorf("%q is %v", bad, r)
		}
	}
	if r, err := parseRegion("1,2,3x4"); err != nil || r != image.Rect(1, 2, 4, 6) {
		t.Errorf("%v, %v", r, err)
	}
	const far = math.MaxInt32
	if r, err := parseRegion("1,2,3x2147483647"); err != nil || r != image.Rect(1, 2, 4, far) {
		t.Errorf("%v, %v", r, err)
	}
	if _, _, err := erase(dots(10, 10), image.Rect(10, 0, 20, 20)); err == nil {
		t.Error("a region outside")
	}
}
