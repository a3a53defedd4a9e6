package frame

import (
	"bytes"
	"flag"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "let ffmpeg make the files of testdata/colours again")

// bars is a picture of 16 bars: black, white, gray, the pure colours at full and at half
// strength, and others.
func bars(t *testing.T) *Frame {
	f := mustNew(t, Spec{Format: RGB, Width: 64, Height: 2})
	for i, c := range [][3]byte{
		{0, 0, 0},
		{255, 255, 255},
		{128, 128, 128},
		{255, 0, 0},
		{0, 255, 0},
		{0, 0, 255},
		{255, 255, 0},
		{255, 0, 255},
		{0, 255, 255},
		{128, 0, 0},
		{0, 128, 0},
		{0, 0, 128},
		{230, 180, 150},
		{20, 60, 40},
		{1, 2, 3},
		{250, 251, 200},
	} {
		for y := range 2 {
			for x := range 4 {
				copy(f.Pix(0)[y*f.Stride(0)+(4*i+x)*3:], c[:])
			}
		}
	}
	return f
}

// ffmpegOf runs ffmpeg, or skips the test if it is not installed.
func ffmpegOf(t *testing.T, in []byte, args string) []byte {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed (apt-get install ffmpeg)")
	}
	cmd := exec.Command(ffmpeg, append(strings.Fields("-hide_banner -loglevel error"), strings.Fields(args)...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, &stderr)
	}
	return out
}

// Bars in each matrix and range become the colours that ffmpeg's exact conversion makes, at most 1
// away, in a PNG. The files are what ffmpeg 5.1 made: a raw picture, and its conversion to RGB.
func TestColours(t *testing.T) {
	for _, pix := range []struct {
		format Format
		name   string
	}{{I420, "yuv420p"}, {NV12, "nv12"}, {I444, "yuv444p"}, {I422.WithDepth(10), "yuv422p10le"}} {
		for _, m := range []Matrix{MatrixBT601, MatrixBT709, MatrixBT2020} {
			for _, r := range []Range{RangeFull, RangeLimited} {
				spec := Spec{Format: pix.format, Width: 64, Height: 2, Matrix: m, Range: r}
				f := mustNew(t, spec)
				size := 0
				for i := range f.Planes() {
					size += len(f.Pix(i))
				}
				path := filepath.Join("testdata", "colours", fmt.Sprintf("%s-%v-%v.raw", pix.name, m, r))
				if *update {
					const exact = "flags=accurate_rnd+full_chroma_int+full_chroma_inp+neighbor"
					raw := fmt.Sprintf("-f rawvideo -s 64x2 -pix_fmt %s -i -", "rgb24")
					yuv := ffmpegOf(t, bars(t).Pix(0), fmt.Sprintf("%s -vf scale=out_color_matrix=%v:out_range=%v:%s -pix_fmt %s -f rawvideo -", raw, m, r, exact, pix.name))
					raw = fmt.Sprintf("-f rawvideo -s 64x2 -pix_fmt %s -i -", pix.name)
					rgb := ffmpegOf(t, yuv, fmt.Sprintf("%s -vf scale=in_color_matrix=%v:in_range=%v:%s -pix_fmt rgb24 -f rawvideo -", raw, m, r, exact))
					if err := os.WriteFile(path, append(yuv, rgb...), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if len(b) != size+64*2*3 {
					t.Fatalf("%s has %d bytes, want %d", path, len(b), size+64*2*3)
				}
				for i := range f.Planes() {
					b = b[copy(f.Pix(i), b):]
				}
				dst := mustNew(t, Spec{Format: RGBA, Width: 64, Height: 2})
				Draw(dst, f.Image())
				var file bytes.Buffer
				if err := png.Encode(&file, dst.Image()); err != nil {
					t.Fatal(err)
				}
				img, err := png.Decode(&file)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 64 * 2 {
					x, y := i%64, i/64
					r, g, bl, _ := img.At(x, y).RGBA()
					r2, g2, b2, _ := f.Image().At(x, y).RGBA()
					for k, got := range [...]uint32{r >> 8, g >> 8, bl >> 8, r2 >> 8, g2 >> 8, b2 >> 8} {
						if want := int(b[3*i+k%3]); int(got) > want+1 || int(got) < want-1 {
							t.Fatalf("%s at %d, %d: component %d is %d, want %d", path, x, y, k, got, want)
						}
					}
				}
				// What Draw makes of the bars is what ffmpeg made of them, within 1 of 255.
				back := mustNew(t, spec)
				Draw(back, bars(t).Image())
				if d := differ(back, f, 1); d != "" {
					t.Errorf("%s, drawn: %s", path, d)
				}
			}
		}
	}
}
