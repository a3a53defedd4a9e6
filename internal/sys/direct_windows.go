package sys

import (
	"fmt"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file reads and writes the bytes of an object through the handle of its file, not through a
// mapping. So if bytes cannot be read or written there is an error instead of a fault.

// Holes is false: to read a hole takes no memory on Windows.
func (o *Object) Holes() bool { return false }

// ReadAt fills p from off on. Errors: layout.ErrCorrupt, when the file below has shrunk;
// ErrNoSpace, when there is no such file.
func (o *Object) ReadAt(p []byte, off int64) (done int, err error) {
	for done < len(p) && err == nil {
		var n uint32
		if err = o.shrunk(off, len(p)); err == nil {
			err = windows.ReadFile(o.file, p[done:min(len(p), done+1<<30)], &n, kernel.Position(off+int64(done)))
			done += int(n)
		}
	}
	return done, o.direct("read", err)
}

// WriteAt writes p at off. Errors: layout.ErrCorrupt, when the file below has shrunk; ErrNoSpace.
func (o *Object) WriteAt(p []byte, off int64) (done int, err error) {
	if err := o.shrunk(off, len(p)); err != nil {
		return 0, err
	}
	return withSpace(func() (int, error) {
		var err error
		for done < len(p) && err == nil {
			var n uint32
			err = windows.WriteFile(o.file, p[done:min(len(p), done+1<<30)], &n, kernel.Position(off+int64(done)))
			done += int(n)
		}
		return done, o.direct("write", syserr.Space(err))
	})
}

// direct adds to an error what was tried on which object.
func (o *Object) direct(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, o.what, err)
	}
	return nil
}

// Fault says why the n mapped bytes at off cannot be used. Errors: layout.ErrCorrupt, when the
// file below has shrunk; otherwise ErrNoSpace.
func (o *Object) Fault(off int64, n int) error {
	if err := o.shrunk(off, n); err != nil {
		return err
	}
	return fmt.Errorf("no memory for a hole of %s: %w", o.what, syserr.ErrNoSpace)
}

// shrunk says whether the file below has lost some of the n bytes at off. If there is no file
// below, it returns an error, too: the pages of a section without a file are reserved when it is
// made, except under Wine.
func (o *Object) shrunk(off int64, n int) error {
	if o.file == 0 {
		return fmt.Errorf("no memory for a part of %s: %w", o.what, syserr.ErrNoSpace)
	}
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(o.file, &i); err != nil {
		return fmt.Errorf("size of %s: %w", o.what, err)
	}
	if fileSize(&i) < off+int64(n) {
		return fmt.Errorf("%s has shrunk to %d bytes while it is mapped: %w", o.what, fileSize(&i), layout.ErrCorrupt)
	}
	return nil
}
