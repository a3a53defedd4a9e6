package kernelevent

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The function of golang.org/x/sys/windows does not return which handle it was.
var procWaitMultiple = windows.NewLazySystemDLL("kernel32.dll").NewProc("WaitForMultipleObjects")

// waitAny waits for one of several handles, and returns its index.
func waitAny(hs ...windows.Handle) (int, error) {
	r, _, e := procWaitMultiple.Call(uintptr(len(hs)), uintptr(unsafe.Pointer(&hs[0])), 0, windows.INFINITE)
	if r >= uintptr(len(hs)) {
		return 0, fmt.Errorf("WaitForMultipleObjects: %w", e)
	}
	return int(r), nil
}
