package kernel

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// StandardInfo is FILE_STANDARD_INFO.
type StandardInfo struct {
	Allocated, End int64 // bytes of the disk that the file takes, and its size
	Links          uint32
	deleted, dir   byte
}

// FileStandardInfo returns the size of a file, its bytes on the disk, and the number of its names.
func FileStandardInfo(h windows.Handle) (b StandardInfo, err error) {
	err = windows.GetFileInformationByHandleEx(h, windows.FileStandardInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
	return b, err
}

// AttributesAndLinks returns the attributes of a file and the number of its links.
// (GetFileInformationByHandle returns them, too, but asks the volume for its name first.)
func AttributesAndLinks(h windows.Handle) (attributes, links uint32, err error) {
	b, err := FileStandardInfo(h)
	if err != nil {
		return 0, 0, err
	}
	var a struct { // FILE_BASIC_INFO
		created, accessed, written, changed int64
		attributes, _                       uint32
	}
	err = windows.GetFileInformationByHandleEx(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&a)), uint32(unsafe.Sizeof(a)))
	return a.attributes, b.Links, err
}

// TimeInfo is SYSTEM_TIMEOFDAY_INFORMATION; times are in 100 ns since 1601.
type TimeInfo struct {
	Boot, now, zone int64
	zoneID, _       uint32
	BootBias        uint64 // the sum of the moves of Boot
	sleepBias       uint64
}

// TimeOfDay returns when the machine was started. When the clock is set, the kernel changes this
// time by the same amount.
func TimeOfDay() (b TimeInfo, err error) {
	err = windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&b), uint32(unsafe.Sizeof(b)), nil)
	return b, err
}

// HandleFlags returns the flags of a handle of this process, HANDLE_FLAG_INHERIT and others. It works
// with any value.
func HandleFlags(h windows.Handle) (flags uint32, ok bool) {
	r, _, _ := procHandleInfo.Call(uintptr(h), uintptr(unsafe.Pointer(&flags)))
	return flags, r != 0
}

var procHandleInfo = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetHandleInformation")

// Pointer turns an address outside of Go's memory into a pointer. It is called once for each
// address. It must not be inlined: the compiler of Go 1.26.8 crashes if bytes are copied to the
// result.
//
//go:noinline
func Pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// AttributesOf returns attributes with the security descriptor sd.
func AttributesOf(sd *windows.SECURITY_DESCRIPTOR) *windows.SecurityAttributes {
	return &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: sd}
}

// HasPrivilege says whether this process has a privilege, and has it enabled.
func HasPrivilege(name string) (bool, error) {
	var want windows.LUID
	p, err := windows.UTF16PtrFromString(name)
	if err == nil {
		err = windows.LookupPrivilegeValue(nil, p, &want)
	}
	if err != nil {
		return false, fmt.Errorf("privilege %s: %w", name, err)
	}
	b := make([]uint64, 256)
	n := uint32(8 * len(b))
	err = windows.GetTokenInformation(windows.GetCurrentProcessToken(), windows.TokenPrivileges, (*byte)(unsafe.Pointer(&b[0])), n, &n)
	if err != nil {
		return false, fmt.Errorf("privileges of this process: %w", err)
	}
	for _, have := range (*windows.Tokenprivileges)(unsafe.Pointer(&b[0])).AllPrivileges() {
		if have.Luid == want {
			return have.Attributes&windows.SE_PRIVILEGE_ENABLED != 0, nil
		}
	}
	return false, nil
}
