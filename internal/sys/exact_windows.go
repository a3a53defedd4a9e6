package sys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// Exact objects are sections of the kernel with names that any program may use. They have no
// sidecar, and the kernel removes them with their last handle.

func createExact(s *Spec) (*Object, error) {
	name := kernel.ExactName(s.Scope, s.Name)
	sa, err := kernel.Descriptor(s.SDDL)
	if err != nil {
		return nil, err
	}
	// This check comes first, so that no file is changed if the name is taken. createSection below
	// decides.
	if h, err := openSection(name, layout.ReadOnly); err == nil {
		_ = windows.CloseHandle(h)
		return nil, kernel.Named(name, windows.ERROR_ALREADY_EXISTS)
	} else if !errors.Is(err, fs.ErrNotExist) && (s.File != "" || !errors.Is(err, fs.ErrPermission)) {
		return nil, err
	}
	b := &backing{size: s.Size}
	file := windows.InvalidHandle
	if s.File != "" {
		t := *s
		t.Access = layout.ReadWrite
		if b, err = openBacking(&t); err != nil {
			return nil, err
		}
		file = b.file
	}
	h, err := createSection(file, sa, windows.PAGE_READWRITE, b.size, name)
	if errors.Is(err, fs.ErrPermission) {
		if perr := store.CheckPrivilege(s.Scope); perr != nil {
			err = fmt.Errorf("%w: %w", perr, err)
		}
	}
	if err != nil {
		b.discard()
		return nil, err
	}
	t := *s
	t.Access = layout.ReadWrite
	o := exactObject(&t, name, h)
	o.Size, o.file, o.File = b.size, b.file, s.File
	if err := o.init(s.Init); err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}

// exactObject returns the object over a section, and takes the section over.
func exactObject(s *Spec, name string, h windows.Handle) *Object {
	return &Object{
		ID: exactID(name), Kind: s.Kind, Scope: s.Scope, Name: s.Name, Exact: true, Access: s.Access,
		Key:  "exact:" + name + " " + strconv.Itoa(int(s.Access)),
		impl: impl{section: h, what: name},
	}
}

func openExact(s *Spec) (*Object, error) {
	name := kernel.ExactName(s.Scope, s.Name)
	h, err := openSection(name, s.Access)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("open %q %v: its security descriptor does not allow that: %w", name, s.Access, err)
	}
	if err != nil {
		return nil, err
	}
	o := exactObject(s, name, h)
	if err := o.measure(s); err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}

// measure finds the size. Over the page file the kernel only knows it rounded up to a page.
func (o *Object) measure(s *Spec) error {
	if s.Owner != "" {
		if err := store.CheckOwner(s.Owner, o.section, windows.SE_KERNEL_OBJECT, o.what); err != nil {
			return err
		}
	}
	size, attributes, err := querySection(o.section)
	if err != nil {
		return fmt.Errorf("size of section %q: %w", o.what, err)
	}
	if size <= 0 || size > layout.MaxSize {
		return fmt.Errorf("section %q has %d bytes: %w", o.what, size, layout.ErrCorrupt)
	}
	if attributes&(secReserve|secImage) != 0 {
		return fmt.Errorf("section %q has attributes %#x: its pages may not be committed, and reading them may fault: %w",
			o.what, attributes, errors.ErrUnsupported)
	}
	o.Size, o.Rounded = size, attributes&secFile == 0
	return nil
}

// statExact returns the facts about the kernel object for s.Kind: a section, or an event, a mutex
// or a semaphore of the system. Other kinds have no kernel object.
func statExact(s *Spec) (Info, error) {
	if s.Kind != layout.Memory {
		return statKernel(s)
	}
	t := *s
	t.Access = layout.ReadOnly
	o, err := openExact(&t)
	if err != nil {
		return Info{}, err
	}
	defer o.Close()
	i := Info{
		Name: s.Name, Kind: s.Kind, Scope: s.Scope, Size: o.Size, Allocated: o.Size, InUse: true,
		ID: o.ID, Path: o.what, Rounded: o.Rounded, Exact: true,
	}
	i.Owner, i.Perm = rights(o.section, windows.SE_KERNEL_OBJECT)
	return i, nil
}

// statKernel is statExact for kernel objects that are not sections.
func statKernel(s *Spec) (Info, error) {
	name := kernel.ExactName(s.Scope, s.Name)
	var open func(access uint32, inherit bool, name *uint16) (windows.Handle, error)
	access := uint32(windows.SYNCHRONIZE)
	switch s.Kind {
	case layout.Event:
		open = windows.OpenEvent
	case layout.Mutex:
		open = windows.OpenMutex
	case layout.Semaphore:
		open = openSemaphore
	default:
		return Info{}, fmt.Errorf("kernel object %q: the system has no objects of the kind %v: %w", name, s.Kind, fs.ErrNotExist)
	}
	p, err := kernel.NamePtr(name)
	if err != nil {
		return Info{}, err
	}
	h, err := open(access|windows.READ_CONTROL, false, p)
	if errors.Is(err, fs.ErrPermission) {
		h, err = open(access, false, p)
	}
	if err != nil {
		return Info{}, kernel.Named(name, err)
	}
	defer windows.CloseHandle(h)
	if s.Owner != "" {
		if err := store.CheckOwner(s.Owner, h, windows.SE_KERNEL_OBJECT, name); err != nil {
			return Info{}, err
		}
	}
	i := Info{
		Name: s.Name, Kind: s.Kind, Scope: s.Scope, InUse: true, Path: name, Exact: true,
		ID: exactID(name),
	}
	i.Owner, i.Perm = rights(h, windows.SE_KERNEL_OBJECT)
	return i, nil
}

// exactID returns an ID for an exact object, which has none of its own.
func exactID(name string) layout.ID {
	sum := sha256.Sum256([]byte(name))
	return layout.ID(sum[:16])
}
