package stream

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
)

// A writer that comes to P4 late, when the reader has read everything and waits again, does not
// use up the ring for this wait of the reader: the next Write must ring it.
func TestLateRing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	l, err := Listen("s", nil)
	ipctest.NoErr(t, err)
	defer l.Close()
	d, err := Dial(context.Background(), "s", nil)
	ipctest.NoErr(t, err)
	defer d.Close()
	a, err := l.Accept()
	ipctest.NoErr(t, err)
	defer a.Close()
	read := make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, 1))
		read <- err
	}()
	for atomic.LoadUint64(d.far.readWaits)&1 == 0 {
		runtime.Gosched()
	}
	d.conn.wake()
	if d.wr.rungFor != 0 {
		t.Error("the reader was rung, but there was nothing to read")
	}
	_, err = d.Write([]byte{1})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, <-read)
}
