package cell_test

import (
	"errors"
	"testing"

	"samepage/cell"
	"samepage/internal/ipctest"
)

// A writer that was dropped with a value on loan blocks nobody, and the cell keeps its value.
func TestForgottenWriter(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 100, nil)
	ipctest.NoErr(t, w.Set(bg, []byte("before")))
	func() {
		w, _, err := cell.OpenOrCreateWriter("c", 100, nil)
		ipctest.NoErr(t, err)
		l, err := w.Loan(bg, 5)
		ipctest.NoErr(t, err)
		copy(l.Bytes(), "other")
	}()
	r := newReader(t, "c")
	ipctest.Collect(t, "the writer", func() error {
		if r.Writing() {
			return errors.New("a writer is at work")
		}
		return nil
	})
	v, ok, err := r.Load()
	if !ok || err != nil || string(v.Bytes()) != "before" {
		t.Fatalf("value %q, %v, %v", v.Bytes(), ok, err)
	}
	ipctest.NoErr(t, w.Set(bg, []byte("after")))
}
