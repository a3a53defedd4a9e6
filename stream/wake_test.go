package stream

import (
	"context"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
)

// connected returns both ends of a connection, which are closed with the test.
func connected(t *testing.T) (dialed *Conn, accepted net.Conn) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	l, err := Listen("s", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = l.Close() })
	d, err := Dial(context.Background(), "s", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = d.Close() })
	a, err := l.Accept()
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = a.Close() })
	return d, a
}

// Nothing comes after io.EOF: a ReadFrom that is in the middle of a piece while its end is closed
// does not count this piece.
func TestNothingAfterEOF(t *testing.T) {
	d, a := connected(t)
	b := make([]byte, 8)
	n, err := d.ReadFrom(readerFunc(func(to []byte) (int, error) {
		ipctest.NoErr(t, d.Close())
		if n, err := a.Read(b); n != 0 || err != io.EOF {
			t.Errorf("a closed end gives %d, %v", n, err)
		}
		return copy(to, "late"), nil
	}))
	ipctest.WantErr(t, err, net.ErrClosed)
	if n != 0 {
		t.Errorf("%d bytes are counted that come after io.EOF", n)
	}
	if n, err := a.Read(b); n != 0 || err != io.EOF {
		t.Errorf("after io.EOF comes %d, %v", n, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A writer that comes to P4 late, when the reader has read everything and waits again, does not
// use up the ring for this wait of the reader: the next Write must ring it.
func TestLateRing(t *testing.T) {
	d, a := connected(t)
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
	_, err := d.Write([]byte{1})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, <-read)
}
