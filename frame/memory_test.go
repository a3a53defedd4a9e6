//go:build linux || windows

package frame_test

import (
	"errors"
	"image"
	"testing"

	"samepage"
	"samepage/frame"
)

// A picture that is drawn through one view is seen through another, read-only view, without a copy:
// Open and Image only read.
func TestMemory(t *testing.T) {
	spec := frame.Spec{Format: frame.NV12, Width: 640, Height: 480}
	m, err := samepage.CreateUnnamed(spec.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	in, err := m.View(0, 0, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(in.Close(), out.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}()
	w, err := frame.New(out.Bytes(), spec)
	if err != nil {
		t.Fatal(err)
	}
	r, err := frame.Open(in.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	frame.Draw(w, image.White)
	if got, _, _, _ := r.Image().At(639, 479).RGBA(); got != 0xffff {
		t.Errorf("the last pixel is not seen: %v", r.Image().At(639, 479))
	}
	out.Bytes()[12] = 99
	if _, err := frame.Open(in.Bytes()); !errors.Is(err, samepage.ErrCorrupt) {
		t.Errorf("a header that was overwritten: %v", err)
	}
}
