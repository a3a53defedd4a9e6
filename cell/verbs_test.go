package cell_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
)

// The four verbs, for a cell that exists and for one that does not, and the result existed.
func TestVerbs(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.OpenWriter("c", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	short, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = cell.AwaitWriter(short, "c", nil)
	ipctest.WantErr(t, err, context.DeadlineExceeded)

	created, err := cell.CreateWriter("c", 100, nil)
	ipctest.NoErr(t, err)
	_, err = cell.CreateWriter("c", 100, nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	opened, err := cell.OpenWriter("c", nil)
	ipctest.NoErr(t, err)
	awaited, err := cell.AwaitWriter(bg, "c", nil)
	ipctest.NoErr(t, err)
	again, existed, err := cell.OpenOrCreateWriter("c", 50, &cell.Options{Times: true, AsItIs: true})
	ipctest.NoErr(t, err)
	if !existed || again.Cap() != 100 {
		t.Error(existed, again.Cap())
	}
	_, _, err = cell.OpenOrCreateWriter("c", 101, nil)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	for _, w := range []*cell.Writer{created, opened, awaited, again} {
		ipctest.NoErr(t, w.Set(bg, []byte("x")))
		ipctest.NoErr(t, w.Close())
	}
	w, existed, err := cell.OpenOrCreateWriter("c", 1, nil)
	ipctest.NoErr(t, err)
	if existed {
		t.Error("a new cell existed")
	}
	ipctest.NoErr(t, w.Close())
}

// The four verbs for cells of a Go type, whose values are written and held in place.
func TestVerbsOf(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.OpenWriterOf[config]("c", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	w, err := cell.CreateWriterOf[config]("c", &cell.Options{Holds: 1})
	ipctest.NoErr(t, err)
	_, err = cell.CreateWriterOf[config]("c", nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	_, err = cell.OpenWriterOf[int64]("c", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	w2, err := cell.AwaitWriterOf[config](bg, "c", nil)
	ipctest.NoErr(t, err)
	w3, existed, err := cell.OpenOrCreateWriterOf[config]("c", nil)
	ipctest.NoErr(t, err)
	if !existed || w3.Name() != "c" || w3.ID() != w.ID() || w3.CheckName() != nil {
		t.Error(existed, w3.Name(), w3.ID())
	}
	r, err := cell.AwaitReaderOf[config](bg, "c", nil)
	ipctest.NoErr(t, err)

	l, err := w.Loan(bg)
	ipctest.NoErr(t, err)
	if l.Latest() != nil {
		t.Error("a new cell has a value")
	}
	*l.Value() = config{Limit: 7}
	ipctest.NoErr(t, l.Commit())
	if l.Value() != nil {
		t.Error("a loan that is committed still has a value")
	}
	v, ok, err := r.Load()
	if !ok || err != nil || v.Value().Limit != 7 || v.Generation() != 1 || r.Generation() != 1 {
		t.Fatal(ok, err, v.Value())
	}
	h, err := v.Hold()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, w2.Set(bg, &config{Limit: 8}))
	if v, ok, err := r.Load(); !ok || err != nil || v.Value().Limit != 8 || h.Value().Limit != 7 {
		t.Error(ok, err, v.Value(), h.Value())
	}
	if v.Value() != nil {
		t.Error("the value before is still good")
	}
	ipctest.WantErr(t, r.Close(), samepage.ErrUnreleased)
	h.Release()
	if h.Value() != nil {
		t.Error("what was released is still good")
	}
	for _, c := range []interface{ Close() error }{r, w, w2, w3} {
		ipctest.NoErr(t, c.Close())
	}
}

// Open and Await refuse options that are for a new cell only.
func TestOpenRefusesOptionsOfNewCells(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	newWriter(t, "c", 8, nil)
	for _, o := range []cell.Options{
		{Lifetime: samepage.Persist}, {Members: 1}, {Holds: 1}, {Checksums: true}, {Times: true}, {Perm: 0o600}, {SecurityDescriptor: "D:"},
	} {
		_, err := cell.OpenWriter("c", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
		_, err = cell.AwaitWriter(bg, "c", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
		_, err = cell.OpenWriterOf[int64]("c", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
	}
}
