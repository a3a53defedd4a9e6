package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage/cmd/samepage/internal/picture"
	"samepage/internal/ipctest"
)

// serveEarse starts a worker, and waits until it can be found.
func serveEarse(t *testing.T, args ...string) {
	t.Helper()
	worker := startProcess(t, append([]string{"legacy", "earseimage", "serve"}, args...)...)
	path := filepath.Join(ipctest.Dir(t), "first.png")
	if err := writePicture(path, dots(4, 4)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(worker.out)
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, stderr, code := command(t, "legacy", "earseimage", "request", path, "--out1", path+"1.png", "--out2", path+"2.png")
		if code == 0 {
			break
		} else if code != 10 || time.Since(begun) > ipctest.Patience {
			t.Fatalf("%d, %s", code, stderr)
		}
	}
	worker.line(lines)
	go func() { // lest it waits for who reads what it says
		for _, err := lines.ReadString('\n'); err == nil; {
			_, err = lines.ReadString('\n')
		}
	}()
}

// tiffTags are the first page's numbers, of a file with the less significant byte first.
func tiffTags(t *testing.T, b []byte) map[int][]int {
	t.Helper()
	word := func(at int) int { return int(b[at]) | int(b[at+1])<<8 }
	long := func(at int) int { return word(at) | word(at+2)<<16 }
	tags := map[int][]int{}
	dir := long(4)
	for i := range word(dir) {
		e := dir + 2 + 12*i
		n, size, at := long(e+4), 2, e+8
		if word(e+2) == 4 {
			size = 4
		}
		if n*size > 4 {
			at = long(e + 8)
		}
		for k := range n {
			if v := word(at + size*k); size == 2 {
				tags[word(e)] = append(tags[word(e)], v)
			} else {
				tags[word(e)] = append(tags[word(e)], long(at+4*k))
			}
		}
	}
	return tags
}

// A worker answers a TIFF with one that has the source's samples and is not compressed,
// which each reader of TIFF reads, unless it would not fit; and the requester writes what
// came, byte for byte.
func TestEarseImageTIFF(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	serveEarse(t)
	dir := ipctest.Dir(t)
	r := image.Rect(0, 0, 90, 60)
	two, gray, deep, table := image.NewGray(r), image.NewGray(r), image.NewGray16(r), image.NewPaletted(r, palette.Plan9)
	rgb, nrgba, rgb16 := image.NewRGBA(r), image.NewNRGBA(r), image.NewRGBA64(r)
	for y := range 60 {
		for x := range 90 {
			v := uint8(x*5 ^ y*3)
			two.SetGray(x, y, color.Gray{v & 1 * 255})
			gray.SetGray(x, y, color.Gray{v})
			deep.SetGray16(x, y, color.Gray16{uint16(v) * 251})
			table.SetColorIndex(x, y, v)
			rgb.SetRGBA(x, y, color.RGBA{v, uint8(x), uint8(y), 255})
			nrgba.SetNRGBA(x, y, color.NRGBA{v, uint8(x), uint8(y), []byte{0, 1, 127, 254, 255}[x%5]})
			rgb16.SetRGBA64(x, y, color.RGBA64{uint16(v) * 251, uint16(x), uint16(y), 0xffff})
		}
	}
	page := image.NewGray(image.Rect(0, 0, 2480, 3508)) // a page of paper: one bit a pixel fits
	noise := image.NewRGBA(image.Rect(0, 0, 1200, 1200))
	for i := range page.Pix {
		page.Pix[i] = byte(i/7%2) * 255
	}
	for i := range noise.Pix {
		noise.Pix[i] = byte(i / 400)
		if i%4 == 3 {
			noise.Pix[i] = 255
		}
	}
	for name, x := range map[string]struct {
		img         image.Image
		o           picture.TIFFOptions
		bits        []int
		photometric int
		compression int
	}{
		"rgb":              {rgb, picture.TIFFOptions{}, []int{8, 8, 8}, 2, 1},
		"rgb compressed":   {rgb, picture.TIFFOptions{Deflate: true}, []int{8, 8, 8}, 2, 1},
		"gray":             {gray, picture.TIFFOptions{}, []int{8}, 1, 1},
		"gray, 0 is white": {gray, picture.TIFFOptions{WhiteIsZero: true}, []int{8}, 0, 1},
		"gray of 16 bits":  {deep, picture.TIFFOptions{}, []int{16}, 1, 1},
		"one bit":          {two, picture.TIFFOptions{OneBit: true, WhiteIsZero: true}, []int{1}, 0, 1},
		"palette":          {table, picture.TIFFOptions{}, []int{8}, 3, 1},
		"alpha":            {nrgba, picture.TIFFOptions{}, []int{8, 8, 8, 8}, 2, 1},
		"rgb of 16 bits":   {rgb16, picture.TIFFOptions{}, []int{16, 16, 16}, 2, 1},
		"a page":           {page, picture.TIFFOptions{OneBit: true}, []int{1}, 1, 1},
		"too large":        {noise, picture.TIFFOptions{}, []int{8, 8, 8}, 2, 8},
	} {
		source := filepath.Join(dir, name+".tif")
		if err := os.WriteFile(source, picture.EncodeTIFF(x.img, &x.o), 0o600); err != nil {
			t.Fatal(err)
		}
		out := []string{filepath.Join(dir, "1.tif"), filepath.Join(dir, "2.TIFF")}
		stdout, stderr, code := command(t, "legacy", "earseimage", "request", source, "--out1", out[0], "--out2", out[1], "--json", "--timeout", "60s")
		var res earseResults
		if err := json.Unmarshal([]byte(stdout), &res); err != nil || code != 0 {
			t.Fatalf("%s: %d, %v, %s", name, code, err, stderr)
		}
		for i := range out {
			b, err := os.ReadFile(out[i])
			if err != nil {
				t.Fatal(err)
			}
			if len(b) != res.Results[i].Size {
				t.Errorf("%s: result %d came with %d bytes, and its file has %d", name, i+1, res.Results[i].Size, len(b))
			}
			tags := tiffTags(t, b)
			if fmt.Sprint(tags[258]) != fmt.Sprint(x.bits) || tags[277][0] != len(x.bits) || tags[262][0] != x.photometric || tags[259][0] != x.compression {
				t.Errorf("%s: result %d has bits %v, %v samples, photometric %v, compression %v", name, i+1, tags[258], tags[277], tags[262], tags[259])
			}
			got, err := readImage(out[i])
			if err != nil {
				t.Fatal(err)
			}
			w, h := x.img.Bounds().Dx(), x.img.Bounds().Dy()
			region := image.Rect(w/4, h/4, w-w/4, h-h/4)
			for range 5000 {
				x1, y1 := rand.IntN(w), rand.IntN(h)
				want := color.Color(color.RGBA64{0xffff, 0xffff, 0xffff, 0xffff})
				if image.Pt(x1, y1).In(region) == (i == 1) {
					want = x.img.At(x1, y1)
				}
				c := got.At(x1, y1)
				if _, _, _, a := want.RGBA(); a == 0xffff {
					c, want = color.RGBA64Model.Convert(c), color.RGBA64Model.Convert(want)
				}
				if c != want {
					t.Fatalf("%s: result %d has %v at %d,%d, want %v", name, i+1, c, x1, y1, want)
				}
			}
		}
	}
	// A file of another kind is written anew.
	stdout, stderr, code := command(t, "legacy", "earseimage", "request", filepath.Join(dir, "alpha.tif"), "--out1", filepath.Join(dir, "1.bmp"), "--out2", filepath.Join(dir, "2.png"))
	if code != 0 || strings.Count(stdout, "90 x 60 pixels, from TIFF of") != 2 {
		t.Fatalf("%d, %s, %s", code, stdout, stderr)
	}
	if got, err := readImage(filepath.Join(dir, "1.bmp")); err != nil || got.At(1, 0) != nrgba.At(1, 0) {
		t.Errorf("a BMP of it has %v, %v", got.At(1, 0), err)
	}
}

// What a requester names may be anything: the worker neither waits for a FIFO nor takes
// memory for what a file claims, and tells of further pages.
func TestEarseImageBounds(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	serveEarse(t, "--max-bytes", "10KiB")
	dir := ipctest.Dir(t)
	if err := writePicture(filepath.Join(dir, "large.png"), dots(51, 51)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.tif"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"large.png": "which need 10404 bytes", "folder.tif": "a directory"} {
		_, stderr, code := command(t, "legacy", "earseimage", "request", filepath.Join(dir, name), "--out1", filepath.Join(dir, "1.png"), "--out2", filepath.Join(dir, "2.png"))
		if code != 1 || !strings.Contains(stderr, text) {
			t.Errorf("%s: %d, %s", name, code, stderr)
		}
	}
}
