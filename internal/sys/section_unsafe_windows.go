package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file has calls for sections and handles that golang.org/x/sys/windows does not have.
var (
	kernel32            = windows.NewLazySystemDLL("kernel32.dll")
	procOpenFileMapping = kernel32.NewProc("OpenFileMappingW")
	procOpenSemaphore   = kernel32.NewProc("OpenSemaphoreW")

	ntdll            = windows.NewLazySystemDLL("ntdll.dll")
	procQueryObject  = ntdll.NewProc("NtQueryObject")
	procQuerySection = ntdll.NewProc("NtQuerySection")
	procCompare      = ntdll.NewProc("NtCompareObjects") // Windows 10
)

// Access rights of a section (winnt.h).
const (
	sectionQuery = 0x1
	sectionWrite = 0x2
	sectionRead  = 0x4
)

// Attributes of a section that NtQuerySection returns.
const (
	secFile    = 0x800000
	secReserve = 0x4000000
)

// createSection makes a section over file, or over the page file if file is InvalidHandle.
// Errors: fs.ErrExist.
func createSection(file windows.Handle, sa *windows.SecurityAttributes, protect uint32, size int64, name string) (windows.Handle, error) {
	p, err := kernel.NamePtr(name)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFileMapping(file, sa, protect, uint32(size>>32), uint32(size), p)
	if err == nil {
		return h, nil
	}
	if h != 0 {
		_ = windows.CloseHandle(h)
	}
	if name == "" {
		return 0, fmt.Errorf("section of %d bytes: %w", size, syserr.Space(err))
	}
	return 0, kernel.Named(name, err)
}

// openSection opens a section by its name. Errors: fs.ErrNotExist, fs.ErrPermission.
func openSection(name string, a layout.Access) (windows.Handle, error) {
	p, err := kernel.NamePtr(name)
	if err != nil {
		return 0, err
	}
	h, _, e := procOpenFileMapping.Call(uintptr(sectionRights(a)), 0, uintptr(unsafe.Pointer(p)))
	if h == 0 {
		return 0, kernel.Named(name, e)
	}
	return windows.Handle(h), nil
}

func openSemaphore(access uint32, _ bool, name *uint16) (windows.Handle, error) {
	h, _, e := procOpenSemaphore.Call(uintptr(access), 0, uintptr(unsafe.Pointer(name)))
	if h == 0 {
		return 0, e
	}
	return windows.Handle(h), nil
}

// sectionRights returns the rights that a handle needs for access a.
func sectionRights(a layout.Access) uint32 {
	if a == layout.ReadWrite {
		return sectionQuery | sectionRead | sectionWrite
	}
	return sectionQuery | sectionRead
}

// querySection returns the size and the attributes of a section.
func querySection(h windows.Handle) (size int64, attributes uint32, err error) {
	var b struct {
		base       uintptr
		attributes uint32
		size       int64
	}
	st, _, _ := procQuerySection.Call(uintptr(h), 0, uintptr(unsafe.Pointer(&b)), unsafe.Sizeof(b), 0)
	if st != 0 {
		return 0, 0, windows.NTStatus(st)
	}
	return b.size, b.attributes, nil
}

type objectBasicInfo struct { // PUBLIC_OBJECT_BASIC_INFORMATION
	attributes, access, handles, pointers uint32
	_                                     [10]uint32
}

func queryObject(h windows.Handle) (b objectBasicInfo, err error) {
	st, _, _ := procQueryObject.Call(uintptr(h), 0, uintptr(unsafe.Pointer(&b)), unsafe.Sizeof(b), 0)
	if st != 0 {
		err = windows.NTStatus(st)
	}
	return b, err
}

// queryAccess returns the rights of a handle. It works with any value.
func queryAccess(h windows.Handle) (uint32, error) {
	b, err := queryObject(h)
	return b.access, err
}

// queryHandles returns the number of handles of an object, in all processes.
func queryHandles(h windows.Handle) (uint32, error) {
	b, err := queryObject(h)
	return b.handles, err
}

// isInheritable says whether h is a handle of this process that children may inherit. A handle that
// this process has inherited is one.
func isInheritable(h windows.Handle) bool {
	flags, ok := kernel.HandleFlags(h)
	return ok && flags&windows.HANDLE_FLAG_INHERIT != 0
}

const (
	objectName = 1
	objectType = 2
)

// queryText returns the name or the type of the kernel object of any value. Ask for the name only
// if it is a section: if another process reads from a pipe, the call waits.
func queryText(h windows.Handle, what uintptr) (string, error) {
	b := make([]uint64, 256) // aligned for a pointer
	st, _, _ := procQueryObject.Call(uintptr(h), what, uintptr(unsafe.Pointer(&b[0])), uintptr(8*len(b)), 0)
	if st != 0 {
		return "", windows.NTStatus(st)
	}
	return (*windows.NTUnicodeString)(unsafe.Pointer(&b[0])).String(), nil
}

// sameObject says whether two handles refer to the same object.
func sameObject(a, b windows.Handle) bool {
	if procCompare.Find() != nil {
		return false
	}
	st, _, _ := procCompare.Call(uintptr(a), uintptr(b))
	return st == 0
}

// markDeleted makes the system delete the file of h with its last handle.
func markDeleted(h windows.Handle) error {
	yes := byte(1)
	return windows.SetFileInformationByHandle(h, windows.FileDispositionInfo, &yes, 1)
}

// allocated returns how many bytes of the disk a file takes.
func allocated(h windows.Handle) int64 {
	b, err := kernel.FileStandardInfo(h)
	if err != nil {
		return 0
	}
	return b.Allocated
}

// bootTime returns a number that is different for each start of the machine. When the clock is set,
// the kernel changes its time of boot by the same amount, and keeps the sum of these changes.
func bootTime() (uint64, error) {
	b, err := kernel.TimeOfDay()
	return uint64(b.Boot) - b.BootBias, err
}
