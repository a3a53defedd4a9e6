package main

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What golang.org/x/sys/windows does not have.
var (
	user32              = windows.NewLazySystemDLL("user32.dll")
	procRegisterClass   = user32.NewProc("RegisterClassExW")
	procCreateWindow    = user32.NewProc("CreateWindowExW")
	procDestroyWindow   = user32.NewProc("DestroyWindow")
	procDefWindowProc   = user32.NewProc("DefWindowProcW")
	procGetMessage      = user32.NewProc("GetMessageW")
	procDispatchMessage = user32.NewProc("DispatchMessageW")
	procPostQuitMessage = user32.NewProc("PostQuitMessage")
	procSendMessage     = user32.NewProc("SendMessageW")
	procFindWindow      = user32.NewProc("FindWindowW")
)

// window is a message-only window of any process.
type window uintptr

// copyData is COPYDATASTRUCT.
type copyData struct {
	kind uintptr
	size uint32
	data *byte
}

const wmCopyData = 0x004A

// takeCopy is what the window of this process does with WM_COPYDATA. There is one window at a time,
// and only its thread calls it.
var takeCopy func(w window, data []byte)

var copyClass = sync.OnceValues(func() (*uint16, error) {
	name, err := windows.UTF16PtrFromString("samepage bench")
	if err != nil {
		return nil, err
	}
	c := struct { // WNDCLASSEXW
		size, style                        uint32
		proc                               uintptr
		classExtra, windowExtra            int32
		instance, icon, cursor, background windows.Handle
		menu, name                         *uint16
		smallIcon                          windows.Handle
	}{proc: windows.NewCallback(windowProc), name: name}
	c.size = uint32(unsafe.Sizeof(c))
	if atom, _, e := procRegisterClass.Call(uintptr(unsafe.Pointer(&c))); atom == 0 {
		return nil, fmt.Errorf("window class: %w", e)
	}
	return name, nil
})

// windowProc is the function of all windows of the class.
func windowProc(w, message, wparam, lparam uintptr) uintptr {
	if message == wmCopyData && takeCopy != nil {
		c := copied(&lparam)
		takeCopy(window(w), unsafe.Slice(c.data, c.size))
		return 1
	}
	r, _, _ := procDefWindowProc.Call(w, message, wparam, lparam)
	return r
}

// copied is the structure whose address the system has given.
//
//go:noinline
func copied(address *uintptr) *copyData { return *(**copyData)(unsafe.Pointer(address)) }

// openCopyWindow makes the window of the calling thread, which is locked.
func openCopyWindow(title string, take func(w window, data []byte)) (window, error) {
	class, err := copyClass()
	if err != nil {
		return 0, err
	}
	text, err := windows.UTF16PtrFromString(title)
	if err != nil {
		return 0, err
	}
	takeCopy = take
	const messageOnly = ^uintptr(2) // HWND_MESSAGE, -3
	w, _, e := procCreateWindow.Call(0, uintptr(unsafe.Pointer(class)), uintptr(unsafe.Pointer(text)), 0, 0, 0, 0, 0, messageOnly, 0, 0, 0)
	if w == 0 {
		return 0, fmt.Errorf("window %q: %w", title, e)
	}
	return window(w), nil
}

func (w window) destroy() { _, _, _ = procDestroyWindow.Call(uintptr(w)) }

func findCopyWindow(title string) (window, error) {
	text, err := windows.UTF16PtrFromString(title)
	if err != nil {
		return 0, err
	}
	w, _, e := procFindWindow.Call(0, uintptr(unsafe.Pointer(text)))
	if w == 0 {
		return 0, fmt.Errorf("window %q: %w", title, e)
	}
	return window(w), nil
}

// send sends WM_COPYDATA, and returns when the receiver has handled it.
func (w window) send(from window, message []byte) error {
	c := copyData{size: uint32(len(message)), data: unsafe.SliceData(message)}
	if r, _, e := procSendMessage.Call(uintptr(w), wmCopyData, uintptr(from), uintptr(unsafe.Pointer(&c))); r != 1 {
		return fmt.Errorf("WM_COPYDATA of %d bytes: %w", len(message), e)
	}
	return nil
}

// handleMessages handles messages until quitMessages is called.
func handleMessages() error {
	var m struct { // MSG
		window         uintptr
		message        uint32
		wparam, lparam uintptr
		time           uint32
		x, y           int32
		_              uint32
	}
	for {
		switch r, _, e := procGetMessage.Call(uintptr(unsafe.Pointer(&m)), 0, 0, 0); int32(r) {
		case 0:
			return nil
		case -1:
			return e
		}
		_, _, _ = procDispatchMessage.Call(uintptr(unsafe.Pointer(&m)))
	}
}

// quitMessages ends handleMessages of the calling thread.
func quitMessages() { _, _, _ = procPostQuitMessage.Call(0) }
