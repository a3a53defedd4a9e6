package demo

import (
	"bytes"
	"fmt"
	"image"
)

// erase is the algorithm. erased becomes what fills the region of src, cut what was there.
// Both have the size of the region, and begin at (0, 0).
func erase(src, erased, cut *image.NRGBA, region image.Rectangle) {
	f := newFill(src, region)
	for y := range region.Dy() {
		copy(row(cut, cut.Rect, y), row(src, region, region.Min.Y+y))
		f.row(row(erased, erased.Rect, y), region.Min.Y+y)
	}
}

// results returns both results as pictures of the size of src: src without the region, and
// the region alone on transparent ground.
func results(src *image.NRGBA, a *answer) (erased, cut *image.NRGBA) {
	erased, cut = image.NewNRGBA(src.Rect), image.NewNRGBA(src.Rect)
	for y := src.Rect.Min.Y; y < src.Rect.Max.Y; y++ {
		copy(row(erased, src.Rect, y), row(src, src.Rect, y))
	}
	for y := range a.region.Dy() {
		copy(row(erased, a.region, a.region.Min.Y+y), row(a.erased, a.erased.Rect, y))
		copy(row(cut, a.region, a.region.Min.Y+y), row(a.cut, a.cut.Rect, y))
	}
	return erased, cut
}

// row returns the pixels of line y of m within r.
func row(m *image.NRGBA, r image.Rectangle, y int) []byte {
	return m.Pix[m.PixOffset(r.Min.X, y):][:4*r.Dx()]
}

// fill is what an erased region is filled with. Each pixel is the mean of the four pixels
// around the region that lie in its row and column; nearer ones count more. An edge that the
// region shares with the picture does not count. Without any edge the region becomes
// transparent.
type fill struct {
	region      image.Rectangle
	top, bottom []byte   // the lines above and below; nil: no such edge
	left, right []byte   // the columns beside it, 4 bytes a line
	weights     []uint32 // by distance; integers, so that all machines compute the same
}

func newFill(src *image.NRGBA, region image.Rectangle) *fill {
	f := &fill{region: region}
	b := src.Rect
	if region.Min.Y > b.Min.Y {
		f.top = row(src, region, region.Min.Y-1)
	}
	if region.Max.Y < b.Max.Y {
		f.bottom = row(src, region, region.Max.Y)
	}
	column := func(x int) []byte {
		c := make([]byte, 0, 4*region.Dy())
		for y := region.Min.Y; y < region.Max.Y; y++ {
			c = append(c, src.Pix[src.PixOffset(x, y):][:4]...)
		}
		return c
	}
	if region.Min.X > b.Min.X {
		f.left = column(region.Min.X - 1)
	}
	if region.Max.X < b.Max.X {
		f.right = column(region.Max.X)
	}
	f.weights = make([]uint32, max(region.Dx(), region.Dy())+1)
	for d := 1; d < len(f.weights); d++ {
		f.weights[d] = 1 << 20 / uint32(d)
	}
	return f
}

// row fills line y.
func (f *fill) row(dst []byte, y int) {
	w, h := f.region.Dx(), f.region.Dy()
	y -= f.region.Min.Y
	for x := range w {
		var sum [4]uint64
		var weights uint64
		add := func(edge []byte, at, distance int) {
			if edge == nil {
				return
			}
			n := uint64(f.weights[distance])
			weights += n
			for i := range sum {
				sum[i] += n * uint64(edge[4*at+i])
			}
		}
		add(f.top, x, y+1)
		add(f.bottom, x, h-y)
		add(f.left, y, x+1)
		add(f.right, y, w-x)
		p := dst[4*x : 4*x+4]
		if weights == 0 {
			clear(p)
			continue
		}
		for i := range p {
			p[i] = byte((sum[i] + weights/2) / weights)
		}
	}
}

// check returns an error that says what is wrong with the results.
func check(src *image.NRGBA, a *answer, region image.Rectangle) error {
	if r := image.Rect(0, 0, region.Dx(), region.Dy()); a.region != region || a.erased.Rect != r || a.cut.Rect != r {
		return fmt.Errorf("results of sizes %v and %v for the region %v, want the region %v", a.erased.Rect.Size(), a.cut.Rect.Size(), a.region, region)
	}
	f := newFill(src, region)
	want := make([]byte, 4*region.Dx())
	for y := range region.Dy() {
		f.row(want, region.Min.Y+y)
		if !bytes.Equal(row(a.erased, a.erased.Rect, y), want) {
			return fmt.Errorf("result 1 is not erased as expected in line %d", region.Min.Y+y)
		}
		if !bytes.Equal(row(a.cut, a.cut.Rect, y), row(src, region, region.Min.Y+y)) {
			return fmt.Errorf("result 2 differs from the source in line %d", region.Min.Y+y)
		}
	}
	return nil
}
