// Package window has invisible windows. Other programs find such a window by its title and send
// messages to it. Only Windows has them. On other systems the errors match errors.ErrUnsupported.
package window

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/windows"

	"samepage/internal/edge"
	"samepage/internal/sys/syserr"
)

// Supported says whether the system has windows that other programs find by title.
const Supported = true

// Window messages (winuser.h).
const (
	wmNull  = 0x0000
	wmClose = 0x0010
	wmUser  = 0x0400
)

// ID identifies a window of any process, while that window exists.
type ID uintptr

// Find finds a window by its title, of any class and process, also a message-only one.
// Errors: ErrPeerNotStarted, fs.ErrInvalid.
func Find(title string) (ID, error) {
	id, err := findWindow(title)
	if err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, fmt.Errorf("no window has the title %q: %w", title, syserr.ErrPeerNotStarted)
	}
	return id, nil
}

// Exists says whether the window still exists.
func (id ID) Exists() bool {
	yes, _, _ := procIsWindow.Call(uintptr(id))
	return yes != 0
}

// The words of a window for the race detector: a sender releases edgeSent before its message
// is handled, and the window's thread releases edgeHandled when it is.
const (
	edgeSent = iota
	edgeHandled
)

// forever is the longest time-out, 24 days: the system uses a signed number of milliseconds.
const forever = math.MaxInt32 * time.Millisecond

// Send makes the window's process handle a message, with both parameters 0, and returns after that.
// A timeout of 0 means no limit. While Send waits, it handles messages that others send to windows
// of the calling thread.
//
// Errors: os.ErrDeadlineExceeded; fs.ErrPermission, when the window's process has a higher
// integrity level; ErrPeerNotStarted, when the window does not exist, or exists no more.
func (id ID) Send(message uint32, timeout time.Duration) error {
	if timeout <= 0 || timeout > forever {
		timeout = forever
	}
	edges := edge.Of(id)
	edges.Release(edgeSent)
	err := sendMessage(id, message, uint32(max(timeout.Milliseconds(), 1)))
	switch {
	case err == nil:
		edges.Acquire(edgeHandled)
		return nil
	case !id.Exists():
		err = fmt.Errorf("the window is gone: %w (%w)", syserr.ErrPeerNotStarted, err)
	case err == windows.ERROR_TIMEOUT || err == windows.ERROR_SUCCESS:
		err = fmt.Errorf("not handled within %v: %w", timeout, os.ErrDeadlineExceeded)
	case err == windows.ERROR_ACCESS_DENIED:
		err = fmt.Errorf("the window takes no messages of this process: %w (%w)", fs.ErrPermission, err)
	}
	return fmt.Errorf("send message %d to window %#x: %w", message, uintptr(id), err)
}

// Window is a message-only window of this process, with a thread of its own.
type Window struct {
	id      ID
	title   string
	handle  func(message uint32)
	closing atomic.Bool
	ended   chan struct{}
	err     error // how the thread ended; may be read after ended is closed
}

// openWindows has the windows of this process. The system calls the same function for all of them.
var openWindows sync.Map // of ID to *Window

// Open makes a window. For each message from WM_USER up it calls handle, on the thread of the
// window, also before Open has returned. The sender of the message waits until handle returns.
// While handle itself sends a message with ID.Send, handle may be called again within that call. It
// gets no other messages.
//
// Other programs may have windows with the same title. Errors: fs.ErrInvalid, and those of the
// system.
func Open(title string, handle func(message uint32)) (*Window, error) {
	w := &Window{title: title, handle: handle, ended: make(chan struct{})}
	made := make(chan error)
	go w.run(made)
	if err := <-made; err != nil {
		<-w.ended
		return nil, fmt.Errorf("window %q: %w", title, err)
	}
	return w, nil
}

// ID returns the ID of the window.
func (w *Window) ID() ID { return w.id }

// run is the thread of the window. It ends with the window, and so does its message queue.
func (w *Window) run(made chan<- error) {
	runtime.LockOSThread() // and never unlocked
	defer close(w.ended)
	id, err := createWindow(w.title)
	if err != nil {
		made <- err
		return
	}
	w.id = id
	openWindows.Store(id, w)
	made <- nil
	// Other programs may post WM_QUIT or any other message: only Close ends the loop.
	for !w.closing.Load() && w.err == nil {
		w.err = dispatchMessage()
	}
	w.err = errors.Join(w.err, destroyWindow(id))
	openWindows.CompareAndDelete(id, w) // the id may belong to another window by now
}

// Close ends the window after the present message was handled. The handler must not call Close. A
// second Close does nothing.
func (w *Window) Close() error {
	if w.closing.Swap(true) {
		<-w.ended
		return nil
	}
	// If the queue has no room for this message, it has others that wake the thread.
	_, _, _ = procPostMessage.Call(uintptr(w.id), wmNull, 0, 0)
	<-w.ended
	if w.err != nil {
		return fmt.Errorf("close window %q: %w", w.title, w.err)
	}
	return nil
}

// windowMessage is the function that the system calls for each message, on the thread of the
// window.
func windowMessage(id, message, wparam, lparam uintptr) uintptr {
	if message == wmClose {
		return 0 // other processes must not close the window
	}
	if w, ok := openWindows.Load(ID(id)); ok && message >= wmUser {
		edges := edge.Of(ID(id))
		edges.Acquire(edgeSent)
		w.(*Window).handle(uint32(message))
		edges.Release(edgeHandled)
		return 1
	}
	r, _, _ := procDefWindowProc.Call(id, message, wparam, lparam)
	return r
}
