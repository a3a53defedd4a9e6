package segment

import (
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/layout"
)

// A maker is a member when the name appears. If it cannot use the segment, it is none any more, and
// others that have opened the segment see that.
func TestMakerThatFails(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := &Spec{Kind: layout.Mutex, Live: make([]byte, layout.LockWordsSize)}
	made, err := s.Create(&object.Spec{Name: "m"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := OpenObject(&object.Spec{Name: "m", Kind: layout.Mutex})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(o, layout.Mutex, layout.LockWordsSize, func(*Handle, layout.Owner, Who) {})
	if err != nil {
		t.Fatal(err)
	}
	want := func(gone bool) {
		t.Helper()
		if got, err := h.Gone(First); got != gone || err != nil {
			t.Errorf("the maker is gone: %v, %v, want %v", got, err, gone)
		}
	}
	want(false)
	_, err = Open(made, layout.Event, layout.LockWordsSize, nil)
	ipctest.WantErr(t, err, layout.ErrCorrupt)
	want(true)
	reaped, err := h.Reap(First)
	if !reaped || err != nil || len(h.List()) != 1 {
		t.Errorf("reaped: %v, %v; then the members are %v", reaped, err, h.List())
	}
	ipctest.NoErr(t, h.Close())
}
