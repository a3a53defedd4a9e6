package demo

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // the formats that can be read
	_ "image/jpeg"
	_ "image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"

	"samepage/frame"
)

// A file may claim to be of any size, and the claim alone makes a decoder take
// the memory for it. More than this is refused.
const (
	maxSide   = frame.MaxSide
	maxPixels = 100e6
)

// Extensions are those of the files that are taken for pictures.
var Extensions = []string{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"}

// picture is one that has been read and waits to be drawn into shared memory.
type picture struct {
	name   string // in messages
	out    string // begins the names of the files that are saved
	bounds image.Rectangle
	region image.Rectangle // to be erased
	draw   func(dst *frame.Frame)
}

// source has pictures.
type source interface {
	// largest is the size of the largest of them, in pixels.
	largest() image.Point
	// next is the next picture. At the end it is io.EOF. A *Bad error tells of
	// one that cannot be read, and is followed by others.
	next() (*picture, error)
}

// Bad is a picture that something is wrong with.
type Bad struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

func (b *Bad) Error() string { return b.File + ": " + b.Reason }

// folder are the pictures of a directory.
type folder struct {
	files []file
	at    int
	once  bool
	most  image.Point // the largest
}

type file struct {
	path string
	out  string
	bad  error // known since the directory was scanned
}

// scanFolder finds the pictures of a directory and looks how large they are.
// Each is read once if once is set, else over and over.
func scanFolder(ctx context.Context, dir string, once bool) (*folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{once: once}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, e.Name())
		if !isPicture(e.Name()) {
			continue
		}
		// Follows links, and keeps away from pipes, whose opening would wait.
		if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
			continue
		}
		n, err := measure(path)
		f.files = append(f.files, file{path: path, bad: err})
		if pixels(n) > pixels(f.most) {
			f.most = n
		}
	}
	if len(f.files) == 0 {
		return nil, fmt.Errorf("no pictures (%s) in %s: %w", strings.Join(Extensions, " "), dir, fs.ErrNotExist)
	}
	if f.most == (image.Point{}) {
		return nil, fmt.Errorf("none of the %d pictures in %s can be read; the first: %w", len(f.files), dir, &Bad{f.files[0].path, reason(f.files[0].bad)})
	}
	nameOutputs(f.files)
	return f, nil
}

func isPicture(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	for _, x := range Extensions {
		if ext == x {
			return true
		}
	}
	return false
}

// measure is how many pixels a file has.
func measure(path string) (image.Point, error) {
	r, err := os.Open(path)
	if err != nil {
		return image.Point{}, err
	}
	defer r.Close()
	c, _, err := image.DecodeConfig(r)
	if err != nil {
		return image.Point{}, err
	}
	size := image.Pt(c.Width, c.Height)
	if err := checkSize(size); err != nil {
		return image.Point{}, err
	}
	return size, nil
}

func pixels(size image.Point) int64 { return int64(size.X) * int64(size.Y) }

func checkSize(size image.Point) error {
	if size.X < 1 || size.Y < 1 {
		return fmt.Errorf("it has %d x %d pixels", size.X, size.Y)
	}
	if size.X > maxSide || size.Y > maxSide || pixels(size) > maxPixels {
		return fmt.Errorf("it claims to have %d x %d pixels, at most %d a side and %d million are accepted",
			size.X, size.Y, maxSide, int(maxPixels/1e6))
	}
	return nil
}

// nameOutputs gives each file a name of its own for what is saved of it: its name
// without the extension where no other has the same, also in upper case, for
// not all systems tell the cases apart.
func nameOutputs(files []file) {
	fold := strings.ToLower
	stem := func(f *file) string {
		base := filepath.Base(f.path)
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	stems := map[string]int{}
	for i := range files {
		stems[fold(stem(&files[i]))]++
	}
	used := map[string]bool{}
	for i := range files {
		f := &files[i]
		name := stem(f)
		if stems[fold(name)] > 1 {
			name = filepath.Base(f.path)
		}
		f.out = name
		for n := 2; used[fold(f.out)]; n++ {
			f.out = name + "-" + strconv.Itoa(n)
		}
		used[fold(f.out)] = true
	}
}

func (f *folder) largest() image.Point { return f.most }

func (f *folder) next() (*picture, error) {
	if f.at == len(f.files) && !f.once {
		f.at = 0
	}
	if f.at >= len(f.files) {
		return nil, io.EOF
	}
	x := f.files[f.at]
	err := x.bad
	var m image.Image
	if err == nil {
		m, err = load(x.path)
	}
	if err != nil {
		// Told once, also when the others come again.
		f.files = append(f.files[:f.at:f.at], f.files[f.at+1:]...)
		return nil, &Bad{x.path, reason(err)}
	}
	f.at++
	b := m.Bounds()
	bounds := image.Rect(0, 0, b.Dx(), b.Dy())
	return &picture{
		name: x.path, out: x.out, bounds: bounds, region: middle(bounds),
		draw: func(dst *frame.Frame) { frame.Draw(dst, m) },
	}, nil
}

// reason is an error without the path that it is told with.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// load decodes a file, whose size is checked first.
func load(path string) (image.Image, error) {
	if _, err := measure(path); err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m, _, err := image.Decode(r)
	if err != nil {
		return nil, err
	}
	if err := checkSize(m.Bounds().Size()); err != nil {
		return nil, err
	}
	return m, nil
}

// middle is the region that is erased of a picture about which nothing is known:
// the middle third of each side.
func middle(r image.Rectangle) image.Rectangle {
	w, h := r.Dx(), r.Dy()
	return image.Rect(w/3, h/3, w-w/3, h-h/3)
}
