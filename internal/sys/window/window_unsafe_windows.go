package window

import (
	"fmt"
	"io/fs"
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
	procPostMessage     = user32.NewProc("PostMessageW")
	procSendMessage     = user32.NewProc("SendMessageTimeoutW")
	procFindWindow      = user32.NewProc("FindWindowW")
	procIsWindow        = user32.NewProc("IsWindow")
)

type windowClass struct { // WNDCLASSEXW
	size, style                        uint32
	proc                               uintptr
	classExtra, windowExtra            int32
	instance, icon, cursor, background windows.Handle
	menu, name                         *uint16
	smallIcon                          windows.Handle
}

type windowQueued struct { // MSG
	window  uintptr
	message uint32
	wparam  uintptr
	lparam  uintptr
	time    uint32
	x, y    int32
	_       uint32
}

const className = "samepage"

// registerClass makes the class of all windows of this package. The class exists until the process
// ends, because the system never forgets a function that it may call.
var registerClass = sync.OnceValue(func() error {
	name, err := windows.UTF16PtrFromString(className)
	if err != nil {
		return err
	}
	c := windowClass{proc: windows.NewCallback(windowMessage), name: name}
	c.size = uint32(unsafe.Sizeof(c))
	if atom, _, e := procRegisterClass.Call(uintptr(unsafe.Pointer(&c))); atom == 0 {
		return fmt.Errorf("class %q: %w", className, e)
	}
	return nil
})

// createWindow makes a message-only window of the calling thread.
func createWindow(title string) (ID, error) {
	if err := registerClass(); err != nil {
		return 0, err
	}
	class, err := windows.UTF16PtrFromString(className)
	if err != nil {
		return 0, err
	}
	t, err := windows.UTF16PtrFromString(title)
	if err != nil {
		return 0, fs.ErrInvalid
	}
	const messageOnly = ^uintptr(2) // HWND_MESSAGE, -3
	id, _, e := procCreateWindow.Call(0, uintptr(unsafe.Pointer(class)), uintptr(unsafe.Pointer(t)), 0, 0, 0, 0, 0, messageOnly, 0, 0, 0)
	if id == 0 {
		return 0, e
	}
	return ID(id), nil
}

// destroyWindow ends a window of the calling thread.
func destroyWindow(id ID) error {
	if ok, _, e := procDestroyWindow.Call(uintptr(id)); ok == 0 {
		return e
	}
	return nil
}

// dispatchMessage waits for a message that was posted to the calling thread, and handles it. While
// it waits, it also handles messages that were sent.
func dispatchMessage() error {
	var m windowQueued
	r, _, e := procGetMessage.Call(uintptr(unsafe.Pointer(&m)), 0, 0, 0)
	if int32(r) < 0 {
		return e
	}
	_, _, _ = procDispatchMessage.Call(uintptr(unsafe.Pointer(&m)))
	return nil
}

// findWindow returns 0 if there is no such window.
func findWindow(title string) (ID, error) {
	t, err := windows.UTF16PtrFromString(title)
	if err != nil {
		return 0, fmt.Errorf("window title %q: %w", title, fs.ErrInvalid)
	}
	id, _, _ := procFindWindow.Call(0, uintptr(unsafe.Pointer(t)))
	return ID(id), nil
}

// sendMessage makes a window handle a message.
func sendMessage(id ID, message, milliseconds uint32) error {
	var result uintptr
	ok, _, e := procSendMessage.Call(uintptr(id), uintptr(message), 0, 0, 0, uintptr(milliseconds), uintptr(unsafe.Pointer(&result)))
	if ok == 0 {
		return e
	}
	return nil
}
