package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// secImage is the attribute of a section of a program, which is mapped in parts.
const secImage = 0x1000000

// mappedSize is the size of a section, rounded up to a page, when its handle does not have the
// right to ask for it: that of a view of all of it. No byte of the view is read.
func mappedSize(section windows.Handle) (int64, error) {
	addr, err := windows.MapViewOfFile(section, windows.FILE_MAP_READ, 0, 0, 0)
	if err != nil {
		return 0, err
	}
	defer windows.UnmapViewOfFile(addr)
	var b windows.MemoryBasicInformation
	if err := windows.VirtualQuery(addr, &b, unsafe.Sizeof(b)); err != nil {
		return 0, err
	}
	if b.State != windows.MEM_COMMIT {
		return 0, fmt.Errorf("its pages are in state %#x", b.State)
	}
	return int64(b.RegionSize), nil
}
