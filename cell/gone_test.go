package cell_test

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
)

// onceRole writes one value, and keeps the cell open.
func onceRole(args []string) {
	w, _, err := cell.OpenOrCreateWriterOf[config](args[0], &cell.Options{Times: true, Lifetime: samepage.Persist})
	if err == nil {
		err = w.Set(bg, &config{Rate: 1})
	}
	fmt.Println("ready", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A reader of a Go type sees how old its value is, and that the writer is gone, by Close or by
// death. A reader that does not ask for that waits for the next writer.
func TestWriterGone(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var r *cell.ReaderOf[config]
	var waits chan error
	var other *cell.ReaderOf[config]
	for turn := range uint64(2) {
		c := ipctest.Start(t, "once", "c")
		if l := c.Line(); l != "ready <nil>" {
			t.Fatal(l)
		}
		if r == nil {
			var err error
			r, err = cell.OpenReaderOf[config]("c", &cell.ReaderOptions{NeedsWriter: true})
			ipctest.NoErr(t, err)
			defer r.Close()
			other, err = cell.OpenReaderOf[config]("c", nil)
			ipctest.NoErr(t, err)
			defer other.Close()
			ipctest.NoErr(t, other.Changed(bg))
			_, _, err = other.Load()
			ipctest.NoErr(t, err)
			waits = make(chan error)
			go func() { waits <- other.Changed(bg) }()
		}
		ipctest.NoErr(t, r.Changed(bg))
		v, ok, err := r.Load()
		if !ok || err != nil || v.Generation() != turn+1 || v.Age() < 0 || v.Age() > time.Hour || v.Value().Rate != 1 {
			t.Fatal(v.Generation(), v.Age(), ok, err)
		}
		var into config
		if g, ok, err := r.ReadInto(&into); g != turn+1 || !ok || err != nil || into.Rate != 1 {
			t.Error(g, ok, err, into)
		}
		if n := r.Writers(); n != 1 {
			t.Error(turn, n, "writers, want 1")
		}
		if turn == 1 { // another writer keeps the reader waiting after the death of the first
			w, err := cell.OpenWriterOf[config]("c", nil)
			ipctest.NoErr(t, err)
			if n := r.Writers(); n != 2 {
				t.Error(n, "writers, want 2")
			}
			c.Kill()
			for r.Writers() != 1 {
				time.Sleep(time.Millisecond)
			}
			changed := make(chan error)
			go func() { changed <- r.Changed(bg) }()
			ipctest.NoErr(t, w.Set(bg, &config{Rate: 1}))
			ipctest.NoErr(t, <-changed)
			_, _, err = r.Load()
			ipctest.NoErr(t, err)
			go func() { changed <- r.Changed(bg) }()
			ipctest.NoErr(t, w.Close())
			ipctest.WantErr(t, <-changed, samepage.ErrPeerNotStarted)
			break
		}
		ended := make(chan error)
		go func() {
			for _, err := range r.Values(bg) {
				if err != nil {
					ended <- err
				}
			}
		}()
		c.Kill()
		ipctest.WantErr(t, <-ended, samepage.ErrPeerNotStarted)
		if n := r.Writers(); n != 0 {
			t.Error(n, "writers, want 0")
		}
	}
	ipctest.NoErr(t, <-waits) // ended by a value, not by the death
}
