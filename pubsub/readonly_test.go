package pubsub_test

import (
	"runtime/debug"
	"testing"

	"samepage/internal/ipctest"
)

// A subscriber cannot change messages that others read, because its pages are read-only.
func TestSubscribersReadOnly(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", nil)
	s, other := newSub(t, "t", nil), newSub(t, "t", nil)
	send(t, p, 64)
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if !faults(func() { m.Bytes()[0]++ }) {
		t.Error("a subscriber writes to a message")
	}
	m, err = other.Take(bg)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
}

func faults(f func()) (yes bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { yes = recover() != nil }()
	f()
	return false
}
