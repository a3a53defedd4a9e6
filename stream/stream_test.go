package stream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/stream"
)

func TestMain(m *testing.M) { ipctest.Main(m, children) }

var bg = context.Background()

func listen(t testing.TB, opts *stream.Options) *stream.Listener {
	t.Helper()
	l, err := stream.Listen("s", opts)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t testing.TB) *stream.Conn {
	t.Helper()
	c, err := stream.Dial(bg, "s", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// pair returns both ends of a new connection.
func pair(t testing.TB, l *stream.Listener) (d, a *stream.Conn) {
	t.Helper()
	d = dial(t)
	c, err := l.Accept()
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return d, c.(*stream.Conn)
}

func store(t testing.TB) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
}

// A connection carries bytes both ways, in order, through a ring that is smaller than they are.
func TestBothWays(t *testing.T) {
	store(t)
	l := listen(t, &stream.Options{Buffer: 8192})
	d, a := pair(t, l)
	const size = 3 << 20
	sums := make(chan [32]byte, 4)
	for i, c := range []*stream.Conn{d, a} {
		b := make([]byte, size)
		r := rand.New(rand.NewPCG(1, uint64(i)))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		go func() {
			sums <- sha256.Sum256(b)
			for rest := b; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(20000))
				if _, err := c.Write(rest[:n]); err != nil {
					t.Error(err)
					break
				}
				rest = rest[n:]
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			b, err := io.ReadAll(c)
			if err != nil || len(b) != size {
				t.Errorf("read %d bytes, %v", len(b), err)
			}
			sums <- sha256.Sum256(b)
		}()
	}
	seen := map[[32]byte]int{}
	for range 4 {
		seen[<-sums]++
	}
	if len(seen) != 2 {
		t.Error("the bytes have changed on the way")
	}
}

// ReadFrom and WriteTo give all bytes.
func TestCopies(t *testing.T) {
	store(t)
	l := listen(t, &stream.Options{Buffer: 1 << 14})
	d, a := pair(t, l)
	want := bytes.Repeat([]byte("0123456789abcde"), 100_000)
	sent := make(chan error, 1)
	go func() {
		n, err := d.ReadFrom(bytes.NewReader(want))
		if n != int64(len(want)) {
			t.Errorf("ReadFrom gives %d, want %d", n, len(want))
		}
		sent <- errors.Join(err, d.Close())
	}()
	var got bytes.Buffer
	n, err := a.WriteTo(&got)
	ipctest.NoErr(t, err)
	if n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("WriteTo gives %d bytes, want %d", n, len(want))
	}
	ipctest.NoErr(t, <-sent)
}

// Nobody listens, or another one does, or the one that did has closed.
func TestListening(t *testing.T) {
	store(t)
	_, err := stream.Dial(bg, "s", nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
	l := listen(t, nil)
	_, err = stream.Listen("s", nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	if got := l.Addr().String(); got != "stream:s" {
		t.Errorf("the address is %q", got)
	}
	d := dial(t)
	ipctest.NoErr(t, l.Close())
	ipctest.NoErr(t, l.Close())
	_, err = l.Accept()
	ipctest.WantErr(t, err, net.ErrClosed)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = d.Read(make([]byte, 1))
	ipctest.WantErr(t, err, io.EOF)
	_, err = stream.Dial(bg, "s", nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
	l = listen(t, nil) // d still uses the name
	d, a := pair(t, l)
	_, err = d.Write([]byte("x"))
	ipctest.NoErr(t, err)
	_, err = io.ReadFull(a, make([]byte, 1))
	ipctest.NoErr(t, err)
	if m, ok := d.Peer(); !ok || m.PID != os.Getpid() {
		t.Errorf("the peer is %+v, %t", m, ok)
	}
}

// Accepted connections live on when the listener is closed.
func TestListenerCloses(t *testing.T) {
	store(t)
	l := listen(t, nil)
	d, a := pair(t, l)
	ipctest.NoErr(t, l.Close())
	_, err := a.Write([]byte("hello"))
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, a.Close())
	b, err := io.ReadAll(d)
	ipctest.NoErr(t, err)
	if string(b) != "hello" {
		t.Errorf("got %q", b)
	}
	_, err = d.Write([]byte("x"))
	if err == nil {
		t.Error("a write to a closed end works")
	}
}

// If all connections are in use, Dial waits for one, or for its context.
func TestRoom(t *testing.T) {
	store(t)
	l := listen(t, &stream.Options{Connections: 2})
	d, a := pair(t, l)
	dial(t)
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	_, err := stream.Dial(ctx, "s", nil)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	dialed := make(chan error, 3)
	for range cap(dialed) {
		go func() {
			c, err := stream.Dial(bg, "s", nil)
			if err == nil {
				_, err = c.Write([]byte("x"))
				err = errors.Join(err, c.Close())
			}
			dialed <- err
		}()
	}
	ipctest.NoErr(t, d.Close())
	ipctest.NoErr(t, a.Close())
	for range cap(dialed) {
		ipctest.NoErr(t, <-dialed)
	}
}
