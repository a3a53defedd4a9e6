package cell_test

import (
	"errors"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
)

// A writer that has the schema of a type writes for readers that have the type.
func TestSchemaOption(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &cell.Options{Schema: "reading={0 N uint32;4 V float32;}8"}
	w, err := cell.CreateWriter("c", 1, o)
	if err != nil || w.Cap() != 8 {
		t.Fatal(w, err)
	}
	size, err := o.Size(1)
	ipctest.NoErr(t, err)
	if i, err := samepage.Stat("c", &samepage.Options{Kind: samepage.KindCell}); err != nil || i.Size != size {
		t.Errorf("the cell has %d bytes, and Size is %d, %v", i.Size, size, err)
	}
	type reading struct {
		N uint32
		V float32
	}
	r, err := cell.OpenReaderOf[reading]("c", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Set(t.Context(), []byte("\x07\x00\x00\x00\x00\x00\x80\x3f")); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := r.Get(); err != nil || !ok || v != (reading{7, 1}) {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
	if _, err := cell.OpenWriter("c", nil); !errors.Is(err, samepage.ErrKindMismatch) {
		t.Errorf("a writer of bytes: %v", err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Error(err)
	}
}
