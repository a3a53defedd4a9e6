package doctor

import (
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// What golang.org/x/sys/windows does not have.
var (
	procMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	procWineVersion  = windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version")
)

// commitLimit returns the size of memory and page file, and how much of it is free.
func commitLimit() (total, free uint64, err error) {
	var b struct { // MEMORYSTATUSEX
		length, load                          uint32
		physical, physicalFree, total, free   uint64
		virtual, virtualFree, virtualFreeMore uint64
	}
	b.length = uint32(unsafe.Sizeof(b))
	ok, _, e := procMemoryStatus.Call(uintptr(unsafe.Pointer(&b)))
	if ok == 0 {
		return 0, 0, e
	}
	return b.total, b.free, nil
}

// wineVersion returns the version of Wine. It is empty on Windows.
func wineVersion() string {
	if procWineVersion.Find() != nil {
		return ""
	}
	p, _, _ := procWineVersion.Call()
	return windows.BytePtrToString((*byte)(kernel.Pointer(p)))
}
