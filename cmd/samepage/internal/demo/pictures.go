package demo

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
)

// Extensions are the extensions of the files that are used as pictures.
var Extensions = []string{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"}

// drawable is a picture that was read and can be drawn into shared memory.
type drawable struct {
	name   string // for messages
	out    string // the beginning of the names of the saved files
	bounds image.Rectangle
	region image.Rectangle // to be erased
	draw   func(dst *frame.Frame)
}

// source provides pictures.
type source interface {
	// room is the room that the largest of the remaining pictures needs.
	room(ctx context.Context) (room, error)
	// drop removes the pictures that need this much room. The reason is reported when
	// their turn comes. drop returns false if no picture remains.
	drop(room, error) bool
	// next returns the next picture, and io.EOF at the end. A *Bad error is about one
	// picture that cannot be read; others follow.
	next() (*drawable, error)
}

// Bad is a picture with which something is wrong.
type Bad struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

func (b *Bad) Error() string { return b.File + ": " + b.Reason }

// folder is the pictures of a directory.
type folder struct {
	dir   string
	files []file
	left  []Bad // files that are no pictures, and the further pages of pictures
	at    int
	once  bool
	limit int64 // bytes of a picture when it is decoded
}

type file struct {
	path string
	out  string
	bad  error // an error that was found when the directory was scanned
	need room  // according to its header
	read bool  // it was decoded once, so its header is right
}

// scanFolder finds the pictures of a directory and reads from their headers how large they
// are. Each is read once if o.Once is set, else again and again. With an error it may also
// return a folder, whose left the caller reports.
func scanFolder(ctx context.Context, o *Options) (*folder, error) {
	entries, err := os.ReadDir(o.Images)
	if err != nil {
		return nil, err
	}
	f := &folder{dir: o.Images, once: o.Once, limit: o.MaxBytes}
	if f.limit == 0 {
		f.limit = picture.DefaultLimit
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		path := filepath.Join(o.Images, e.Name())
		// Stat follows links.
		if st, err := os.Stat(path); err == nil {
			if err := picture.Regular(st); err != nil {
				f.left = append(f.left, Bad{path, err.Error()})
				continue
			}
		}
		if !isPicture(e.Name()) {
			f.left = append(f.left, Bad{path, "its name does not end with one of " + strings.Join(Extensions, " ")})
			continue
		}
		x := file{path: path}
		i, err := picture.Measure(path, f.limit)
		if err == nil {
			err = checkSides(i.Width, i.Height)
		}
		if x.bad = err; err == nil {
			size := image.Pt(i.Width, i.Height)
			x.need = roomFor(size, middle(image.Rectangle{Max: size}))
			if i.Pages > 1 {
				f.left = append(f.left, Bad{path, fmt.Sprintf("it has %d pictures, and only the first one is used", i.Pages)})
			}
		}
		f.files = append(f.files, x)
	}
	if len(f.files) == 0 {
		return f, fmt.Errorf("no pictures (%s) in %s; other files and folders: %d: %w", strings.Join(Extensions, " "), o.Images, len(f.left), fs.ErrNotExist)
	}
	nameOutputs(f.files)
	return f, nil
}

func isPicture(name string) bool {
	return slices.Contains(Extensions, strings.ToLower(filepath.Ext(name)))
}

// checkSides refuses sides that no frame can have.
func checkSides(w, h int) error {
	if w > frame.MaxSide || h > frame.MaxSide {
		return fmt.Errorf("it has %d x %d pixels, and a side may have at most %d", w, h, frame.MaxSide)
	}
	return nil
}

// room returns the room that the largest picture needs that can be decoded. It decodes the
// picture before memory is reserved for the size that the file claims.
func (f *folder) room(ctx context.Context) (need room, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return need, err
		}
		need = room{}
		var largest *file
		for i := range f.files {
			if x := &f.files[i]; x.bad == nil {
				need = need.with(x.need)
				if largest == nil || x.need.picture > largest.need.picture {
					largest = x
				}
			}
		}
		if largest == nil {
			return need, f.none()
		}
		if largest.read {
			return need, nil
		}
		if _, err := f.load(largest); err != nil {
			largest.bad = err
		}
		largest.read = true
	}
}

// none is the error about a folder without a picture that can be done.
func (f *folder) none() error {
	return fmt.Errorf("none of the %[1]d pictures in %[2]s can be read; the first: %[3]w", len(f.files), f.dir, f.files[0].told())
}

func (f *folder) drop(need room, why error) (left bool) {
	for i := range f.files {
		x := &f.files[i]
		if x.bad == nil && x.need.picture >= need.picture {
			x.bad = why
		}
		left = left || x.bad == nil
	}
	return left
}

// nameOutputs gives each file a unique name for the files that are saved of it: its name
// without the extension, unless another file has the same. Names that differ only in case
// count as the same, since not all systems tell them apart.
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

func (f *folder) next() (*drawable, error) {
	if f.at == len(f.files) && !f.once {
		f.at = 0
	}
	if f.at >= len(f.files) {
		return nil, io.EOF
	}
	x := f.files[f.at]
	var m image.Image
	if x.bad == nil {
		m, x.bad = f.load(&x)
	}
	if x.bad != nil {
		// It is reported once, also if the other pictures come again.
		f.files = append(f.files[:f.at:f.at], f.files[f.at+1:]...)
		return nil, x.told()
	}
	f.at++
	b := m.Bounds()
	bounds := image.Rect(0, 0, b.Dx(), b.Dy())
	return &drawable{
		name: x.path, out: x.out, bounds: bounds, region: middle(bounds),
		draw: func(dst *frame.Frame) { frame.Draw(dst, m) },
	}, nil
}

// load decodes a file.
func (f *folder) load(x *file) (image.Image, error) {
	p, err := picture.Read(x.path, f.limit)
	if err != nil {
		return nil, err
	}
	return p.Image, checkSides(p.Bounds().Dx(), p.Bounds().Dy())
}

// told says what is wrong with a file. The caller prints the path beside it.
func (x *file) told() *Bad {
	err := x.bad
	if p, ok := errors.AsType[*picture.Error](err); ok {
		err = p.Err
	}
	return &Bad{x.path, err.Error()}
}

// middle is the region that is erased if nothing is known about a picture: the middle third
// of each side.
func middle(r image.Rectangle) image.Rectangle {
	w, h := r.Dx(), r.Dy()
	return image.Rect(w/3, h/3, w-w/3, h-h/3)
}
