package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

// This file is for memory that is handed over by a bare handle of its section, as programs do that
// do not know tokens. The receiver has only the value, and can check only the section itself.

// rawHandOut returns the handle of the section for another process.
func (o *Object) rawHandOut(a layout.Access, inheritable bool) (windows.Handle, error) {
	if err := o.rawAccess(a); err != nil {
		return 0, err
	}
	return o.handle(handOut{a, inheritable, o.byFile}, o.section, sectionRights(a))
}

// rawAccess refuses to hand over more access than the object has.
func (o *Object) rawAccess(a layout.Access) error {
	if a == layout.ReadWrite && o.Access != layout.ReadWrite {
		return fmt.Errorf("hand over %v an object open %v: %w", a, o.Access, fs.ErrPermission)
	}
	return nil
}

// InheritRaw gives the object to a child that cmd will start, and returns the value of the
// section's handle, which is the same in the child. The object must stay open until cmd.Start
// returns.
func (o *Object) InheritRaw(cmd *exec.Cmd, a layout.Access) (uint64, error) {
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.NoInheritHandles {
		return 0, fmt.Errorf("SysProcAttr.NoInheritHandles is set: %w", fs.ErrInvalid)
	}
	h, err := o.rawHandOut(a, true)
	if err != nil {
		return 0, err
	}
	return giveTo(cmd, h), nil
}

// OfferRaw returns the value with which TakeRaw finds the object in this process, while the object
// is open here.
func (o *Object) OfferRaw(a layout.Access) (uint64, error) {
	h, err := o.rawHandOut(a, false)
	return uint64(h), err
}

// granted has the handles that this process put into other processes, of objects that are open
// here.
var granted = struct {
	sync.Mutex
	all map[grantKey]*Object
}{all: make(map[grantKey]*Object)}

type grantKey struct {
	to    layout.Process
	value uint64
}

// GrantRaw puts a handle of the object's section into a running process, and returns its value
// there. Errors: ErrPeerNotStarted, fs.ErrPermission.
func (o *Object) GrantRaw(pid int, a layout.Access) (uint64, error) {
	if err := o.rawAccess(a); err != nil {
		return 0, err
	}
	p, to, err := kernel.OpenProcess(pid, windows.PROCESS_DUP_HANDLE)
	if err != nil {
		return 0, err
	}
	defer windows.CloseHandle(p)
	granted.Lock()
	defer granted.Unlock()
	var h windows.Handle
	if err := windows.DuplicateHandle(windows.CurrentProcess(), o.section, p, &h, sectionRights(a), false, 0); err != nil {
		if _, gone := kernel.ExamineProcess(p, uint32(pid)); gone != nil {
			err = gone
		}
		return 0, fmt.Errorf("put a handle of %s into process %d, %v: %w", o.what, pid, a, err)
	}
	granted.all[grantKey{to, uint64(h)}] = o
	return uint64(h), nil
}

// forgetGrants forgets the handles of an object that closes. After that this process cannot find
// out whether a handle is of that object.
func (o *Object) forgetGrants() {
	granted.Lock()
	defer granted.Unlock()
	for g, of := range granted.all {
		if of == o {
			delete(granted.all, g)
		}
	}
}

// RevokeRaw closes a handle that GrantRaw put into a process, if it still is there. Errors:
// layout.ErrBadToken, ErrPeerNotStarted, fs.ErrPermission.
func RevokeRaw(pid int, value uint64) error {
	p, to, err := kernel.OpenProcess(pid, windows.PROCESS_DUP_HANDLE)
	if err != nil {
		return err
	}
	defer windows.CloseHandle(p)
	granted.Lock()
	defer granted.Unlock()
	g := grantKey{to, value}
	o := granted.all[g]
	if o == nil {
		return fmt.Errorf("this process has granted process %d no handle %#x, or has closed the memory: %w", pid, value, layout.ErrBadToken)
	}
	delete(granted.all, g)
	// If the other process has closed the handle, its value may refer to another object.
	gone := func(err error) error {
		return fmt.Errorf("handle %#x of process %d is not %s any more: %w: %w", value, pid, o.what, err, layout.ErrBadToken)
	}
	h, err := takeHandle(p, value, 0)
	if err != nil {
		return gone(err)
	}
	same := sameObject(h, o.section)
	_ = windows.CloseHandle(h)
	if !same {
		return gone(errors.New("it is another object"))
	}
	h, err = takeHandle(p, value, windows.DUPLICATE_CLOSE_SOURCE)
	if err != nil {
		return gone(err)
	}
	_ = windows.CloseHandle(h)
	return nil
}

// takeHandle copies a handle out of a process. It has no effect on the object of the handle.
func takeHandle(p windows.Handle, value uint64, options uint32) (h windows.Handle, err error) {
	err = windows.DuplicateHandle(p, windows.Handle(value), windows.CurrentProcess(), &h, 0, false, windows.DUPLICATE_SAME_ACCESS|options)
	return h, err
}

// checkRaw refuses values that no handle can have: handles have 32 bits on every Windows, and the
// kernel ignores the last two bits. Errors: layout.ErrBadToken.
func checkRaw(value uint64) error {
	if value == 0 || value%4 != 0 || value > math.MaxInt32 {
		return fmt.Errorf("handle %#x: %w", value, layout.ErrBadToken)
	}
	return nil
}

// AdoptRaw makes an object of a handle of this process, and takes the handle over. The process
// inherited the handle, or another process put it there. If it fails, the handle stays open and
// unchanged. Size 0 means the size of the section. anyOpen says whether is returns true for an
// object that this process has open; a handle of such an object is refused.
//
// Errors: layout.ErrBadToken, fs.ErrPermission.
func AdoptRaw(value uint64, size int64, a layout.Access, anyOpen func(is func(*Object) bool) bool) (*Object, error) {
	if err := checkRaw(value); err != nil {
		return nil, err
	}
	theirs := windows.Handle(value)
	inherited.Lock()
	defer inherited.Unlock()
	// The checks use a copy, because other code of this process may close the original.
	h, err := takeHandle(windows.CurrentProcess(), value, 0)
	if err != nil {
		return nil, fmt.Errorf("this process has no handle %#x, or has taken it already: %w: %w", value, err, layout.ErrBadToken)
	}
	if inherited.ours[theirs] || anyOpen(func(o *Object) bool { return o.holds(theirs) }) {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("handle %#x is one of this process's own objects: %w", value, layout.ErrBadToken)
	}
	o, err := rawObject(h, value, size, a)
	if err != nil {
		return nil, err
	}
	if err := windows.CloseHandle(theirs); err != nil {
		_ = o.Close()
		return nil, fmt.Errorf("close handle %#x, of which there is a copy now: %w", value, err)
	}
	return o, nil
}

// holds says whether h is the object's own handle.
func (o *Object) holds(h windows.Handle) bool {
	o.out.mu.Lock()
	defer o.out.mu.Unlock()
	for _, own := range o.out.all {
		if own == h {
			return true
		}
	}
	return o.section == h || o.file == h
}

// TakeRaw makes an object of a copy of a running process's handle. Errors: layout.ErrBadToken,
// ErrPeerNotStarted, fs.ErrPermission.
func TakeRaw(pid int, value uint64, size int64, a layout.Access) (*Object, error) {
	if err := checkRaw(value); err != nil {
		return nil, err
	}
	p, _, err := kernel.OpenProcess(pid, windows.PROCESS_DUP_HANDLE)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(p)
	h, err := takeHandle(p, value, 0)
	if err != nil {
		if _, gone := kernel.ExamineProcess(p, uint32(pid)); gone != nil {
			return nil, gone
		}
		return nil, fmt.Errorf("process %d has no handle %#x: %w: %w", pid, value, err, layout.ErrBadToken)
	}
	return rawObject(h, value, size, a)
}

// rawObject makes an object of the handle of a section, and takes the handle over. Whatever h is,
// the calls with it do not block and have no effect.
func rawObject(h windows.Handle, value uint64, size int64, a layout.Access) (*Object, error) {
	refuse := func(format string, args ...any) (*Object, error) {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("handle %#x %w: %w", value, fmt.Errorf(format, args...), layout.ErrBadToken)
	}
	kind, err := queryText(h, objectType)
	if err != nil {
		return refuse("is of no known type: %w", err)
	}
	access, err := queryAccess(h)
	if err != nil {
		return refuse("has no known rights: %w", err)
	}
	if kind != "Section" {
		return refuse("is a %s, want a Section", kind)
	}
	if want := sectionRights(a) &^ sectionQuery; access&want != want {
		return refuse("has rights %#x, %v access wants %#x: %w", access, a, want, fs.ErrPermission)
	}
	have, rounded := int64(0), true
	if access&sectionQuery != 0 {
		var attributes uint32
		if have, attributes, err = querySection(h); err != nil {
			return refuse("is a section of unknown size: %w", err)
		}
		if attributes&(secReserve|secImage) != 0 {
			return refuse("is a section with attributes %#x, whose pages may fault", attributes)
		}
		rounded = attributes&secFile == 0
	} else if have, err = mappedSize(h); err != nil { // as one of OpenFileMapping(FILE_MAP_READ)
		return refuse("is a section of unknown size: %w", err)
	}
	if have <= 0 || have > layout.MaxSize || have < size {
		return refuse("has %d bytes, want %d", have, size)
	}
	// A handle may have rights that the section's protection does not give.
	b, err := view(h, 0, 1, a)
	if err != nil {
		return refuse("cannot be mapped %v: %w (%w)", a, fs.ErrPermission, err)
	}
	_ = unview(b)
	if size == 0 {
		size = have
	} else {
		rounded = false
	}
	id, err := kernel.RandomID()
	if err != nil {
		_ = windows.CloseHandle(h)
		return nil, err
	}
	// It is impossible to find out whether two handles are of one section. So each handle is its
	// own object here.
	return &Object{
		ID: id, Access: a, Size: size, Rounded: rounded, Key: "raw " + id.String() + " " + strconv.Itoa(int(a)),
		impl: impl{section: h, raw: true, what: fmt.Sprintf("memory of handle %#x", value)},
	}, nil
}
