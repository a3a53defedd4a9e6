//go:build samepagedebug && (linux || windows)

package pubsub_test

import (
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The debug build: go test -tags samepagedebug -run Debug. Close reports forgotten loans and holds,
// with the place where they were taken. It does not report those that were given back.
func TestDebugForgotten(t *testing.T) {
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{Holds: 1})
	s := newSub(t, "t", nil)
	send(t, p, 8) // takes a loan, and gives it back
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	h, err := m.Hold()
	ipctest.NoErr(t, err)
	l, err := p.Loan(8)
	ipctest.NoErr(t, err)
	for _, err := range []error{p.Close(), s.Close()} {
		ipctest.WantErr(t, err, samepage.ErrBusy)
		if err == nil || strings.Count(err.Error(), "taken at") != 1 || !strings.Contains(err.Error(), "debug_test.go:") {
			t.Errorf("does not tell of one place in this file: %v", err)
		}
	}
	l.Discard()
	h.Release()
	ipctest.NoErr(t, p.Close())
	ipctest.NoErr(t, s.Close())
}
