package main

import (
	"errors"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"samepage/cmd/samepage/internal/picture"
	"samepage/internal/ipctest"
)

// readImage reads a picture within the default limit.
func readImage(path string) (image.Image, error) {
	p, err := picture.Read(path, picture.DefaultLimit)
	if err != nil {
		return nil, err
	}
	return p.Image, nil
}

func TestPicturesGoOutAndIn(t *testing.T) {
	dir := ipctest.Dir(t)
	img := image.NewNRGBA(image.Rect(0, 0, 7, 5))
	for i := range img.Pix {
		img.Pix[i] = byte(37 * i)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	for _, ext := range []string{".png", ".TIF", ".bmp"} {
		path := filepath.Join(dir, "p"+ext)
		for range 2 { // also over one that is there
			if err := writePicture(path, img); err != nil {
				t.Fatal(err)
			}
		}
		got, err := readImage(path)
		if err != nil {
			t.Fatal(err)
		}
		for y := range 5 {
			for x := range 7 {
				if a, b := color.NRGBAModel.Convert(got.At(x, y)), img.At(x, y); a != b {
					t.Fatalf("%s: pixel %d,%d is %v, want %v", ext, x, y, a, b)
				}
			}
		}
	}
	if err := writePicture(filepath.Join(dir, "p.xyz"), img); !errors.Is(err, errUsage) {
		t.Errorf("unknown extension: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readImage(filepath.Join(dir, "bad.png")); !errors.Is(err, picture.ErrUnknown) {
		t.Errorf("not a picture: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".samepage-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
