package ipctest

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// Threads is the number of threads of this process, or 0 where the system does not tell.
func Threads() (n int) {
	h, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return 0
	}
	defer windows.CloseHandle(h)
	e := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err := windows.Thread32First(h, &e); err == nil; err = windows.Thread32Next(h, &e) {
		if e.OwnerProcessID == windows.GetCurrentProcessId() {
			n++
		}
	}
	return n
}
