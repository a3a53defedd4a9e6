package cell_test

import (
	"context"
	"testing"

	"samepage/cell"
	"samepage/internal/ipctest"
)

// Follow yields the values of a cell, and goes on with the next cell of its name, also one for
// larger values.
func TestFollow(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	w, err := cell.CreateWriterOf[uint32]("c", nil)
	ipctest.NoErr(t, err)
	v := uint32(7)
	ipctest.NoErr(t, w.Set(bg, &v))
	got := 0
	for m, err := range cell.Follow(ctx, "c", nil) {
		switch got++; got {
		case 1:
			ipctest.NoErr(t, err)
			if m.Bytes()[0] != 7 || m.Since.New {
				t.Errorf("%v, %v", m.Bytes(), m.Since)
			}
			ipctest.Wipe(t, dir)
			ipctest.NoErr(t, w.Close())
			large, err := cell.CreateWriter("c", 100_000, nil)
			ipctest.NoErr(t, err)
			defer large.Close()
			ipctest.NoErr(t, large.Set(bg, []byte("larger")))
		case 2:
			ipctest.NoErr(t, err)
			if string(m.Bytes()) != "larger" || !m.Since.New || !m.Since.Gone {
				t.Errorf("%q, %v", m.Bytes(), m.Since)
			}
			cancel()
		case 3:
			ipctest.WantErr(t, err, context.Canceled)
		}
	}
	if got != 3 {
		t.Errorf("%d turns, want 3", got)
	}
}
