package window

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/sys/syserr"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"window": peer})
}

// noErr may be called by any goroutine.
func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

func needWindows(t *testing.T) {
	t.Helper()
	if Supported {
		return
	}
	_, err := Open("x", nil)
	ipctest.WantErr(t, err, errors.ErrUnsupported)
	_, err = Find("x")
	ipctest.WantErr(t, err, errors.ErrUnsupported)
	t.Skip("no windows here")
}

func openWindow(t *testing.T, title string, handle func(uint32)) *Window {
	t.Helper()
	w := must(Open(title, handle))(t)
	t.Cleanup(func() { noErr(t, w.Close()) })
	return w
}

// Our messages, and one that is the system's.
const (
	testAsk    = 0x400 + 110
	testAnswer = 0x400 + 111
	testNull   = 0
)

func TestWindow(t *testing.T) {
	needWindows(t)
	_, err := Find("samepage test")
	ipctest.WantErr(t, err, syserr.ErrPeerNotStarted)
	var got []uint32 // written by handlers, each of which has returned before Send does
	w := openWindow(t, "samepage test", func(m uint32) { got = append(got, m) })
	id := must(Find("samepage test"))(t)
	if id != w.ID() || !id.Exists() {
		t.Errorf("found window %#x, made %#x", id, w.ID())
	}
	for _, m := range []uint32{testAsk, testNull, wmCloseForTest, testAnswer} {
		noErr(t, id.Send(m, 0))
	}
	if !slices.Equal(got, []uint32{testAsk, testAnswer}) {
		t.Errorf("handled %v", got)
	}
	noErr(t, w.Close())
	noErr(t, w.Close())
	_, err = Find("samepage test")
	ipctest.WantErr(t, err, syserr.ErrPeerNotStarted)
	ipctest.WantErr(t, id.Send(testAsk, 0), syserr.ErrPeerNotStarted)
	if _, err := Open("a\x00b", func(uint32) {}); err == nil {
		t.Error("a title with a NUL")
	}
}

// wmCloseForTest would close a common window.
const wmCloseForTest = 0x10

// Two windows that answer each other from within, some calls deep.
func TestWindowReentrant(t *testing.T) {
	needWindows(t)
	const deep = 8
	var asks, answers, depth, deepest atomic.Int32
	var a, b *Window
	started := make(chan struct{})
	a = openWindow(t, "samepage test a", func(uint32) {
		<-started
		asks.Add(1)
		deepest.Store(max(deepest.Load(), depth.Add(1)))
		noErr(t, b.ID().Send(testAnswer, 0))
		depth.Add(-1)
	})
	b = openWindow(t, "samepage test b", func(uint32) {
		<-started
		if answers.Add(1) < deep {
			noErr(t, a.ID().Send(testAsk, 0))
		}
	})
	close(started)
	noErr(t, a.ID().Send(testAsk, 0))
	if asks.Load() != deep || answers.Load() != deep || deepest.Load() != deep {
		t.Errorf("%d asked, %d answered, %d within each other, want %d", asks.Load(), answers.Load(), deepest.Load(), deep)
	}
}

func TestWindowTimeout(t *testing.T) {
	needWindows(t)
	begun, end := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w := openWindow(t, "samepage test", func(uint32) {
		once.Do(func() { close(begun) })
		<-end
	})
	// A message that nobody has begun to look at in time is not looked at any more.
	for at := false; !at; {
		ipctest.WantErr(t, w.ID().Send(testAsk, 20*time.Millisecond), os.ErrDeadlineExceeded)
		select {
		case <-begun:
			at = true
		default:
			at = t.Failed()
		}
	}
	close(end)
}

// peer has a window, and hangs in the first message.
func peer([]string) {
	hung := make(chan struct{})
	if _, err := Open("samepage test", func(uint32) {
		close(hung)
		select {}
	}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	<-hung
	fmt.Println("hung")
	time.Sleep(ipctest.Patience)
}

// Who waits for a process that dies waits no longer.
func TestWindowOfTheDead(t *testing.T) {
	needWindows(t)
	c := ipctest.Start(t, "window")
	if l := c.Line(); l != "ready" {
		t.Fatalf("child says %q", l)
	}
	id := must(Find("samepage test"))(t)
	sent := make(chan error, 1)
	go func() { sent <- id.Send(testAsk, 0) }()
	if l := c.Line(); l != "hung" {
		t.Fatal(l)
	}
	select {
	case err := <-sent:
		t.Errorf("sent while the other one hangs: %v", err)
	default:
	}
	c.Kill()
	select {
	case err := <-sent:
		ipctest.WantErr(t, err, syserr.ErrPeerNotStarted)
		t.Log(err)
	case <-time.After(ipctest.Patience):
		t.Error("the sender of a message to a dead process waits")
	}
	_, err := Find("samepage test")
	ipctest.WantErr(t, err, syserr.ErrPeerNotStarted)
}
