package sys

import (
	"errors"
	"io/fs"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

func createSemaphore(name *uint16) (windows.Handle, error) {
	h, _, e := kernel32.NewProc("CreateSemaphoreW").Call(0, 1, 1, uintptr(unsafe.Pointer(name)))
	if h == 0 {
		return 0, e
	}
	return windows.Handle(h), nil
}

// Stat tells of a kernel object of each kind that the system has, and of no other kind at
// its name.
func TestStatKernelObjects(t *testing.T) {
	s := exactly(t)
	name, err := windows.UTF16PtrFromString(kernel.ExactName(s.Scope, s.Name))
	noErr(t, err)
	create := map[layout.Kind]func() (windows.Handle, error){
		layout.Event:     func() (windows.Handle, error) { return windows.CreateEvent(nil, 0, 0, name) },
		layout.Mutex:     func() (windows.Handle, error) { return windows.CreateMutex(nil, false, name) },
		layout.Semaphore: func() (windows.Handle, error) { return createSemaphore(name) },
		layout.Memory: func() (windows.Handle, error) {
			return createSection(windows.InvalidHandle, nil, windows.PAGE_READWRITE, 100, kernel.ExactName(s.Scope, s.Name))
		},
	}
	for kind, f := range create {
		h := must(f())(t)
		for _, k := range layout.Kinds() {
			t2 := *s
			t2.Kind = k
			i, err := Stat(&t2)
			switch {
			case k == kind && (err != nil || i.Kind != k || !i.InUse):
				t.Errorf("a %v: %+v, %v", k, i, err)
			case k != kind && err == nil:
				t.Errorf("a %v is told of as a %v", kind, k)
			}
		}
		noErr(t, windows.CloseHandle(h))
	}
	for _, k := range layout.Kinds() {
		t2 := *s
		t2.Kind = k
		_, err := Stat(&t2)
		wantErr(t, err, fs.ErrNotExist)
	}
}

// A section whose pages may not be committed is refused, lest reading it fault.
func TestReservedSectionByName(t *testing.T) {
	s := exactly(t)
	h := must(createSection(windows.InvalidHandle, nil, windows.PAGE_READWRITE|secReserve, 1<<20, kernel.ExactName(s.Scope, s.Name)))(t)
	defer windows.CloseHandle(h)
	for _, a := range []layout.Access{layout.ReadOnly, layout.ReadWrite} {
		t2 := *s
		t2.Access = a
		_, err := Open(&t2)
		wantErr(t, err, errors.ErrUnsupported)
	}
	_, err := Stat(s)
	wantErr(t, err, errors.ErrUnsupported)
}
