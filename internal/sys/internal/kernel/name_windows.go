package kernel

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Prefix returns the prefix of the names of kernel objects in a scope.
func Prefix(s layout.Scope) string {
	if s == layout.Global {
		return `Global\`
	}
	return `Local\`
}

// ExactName returns the full name of a kernel object. If the name has a prefix already, it does not
// change.
func ExactName(s layout.Scope, name string) string {
	if strings.Contains(name, `\`) {
		return name
	}
	return Prefix(s) + name
}

// NamePtr returns a name for the kernel, or nil for an empty name. Errors: fs.ErrInvalid.
func NamePtr(name string) (*uint16, error) {
	if name == "" {
		return nil, nil
	}
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", name, fs.ErrInvalid)
	}
	return p, nil
}

// Named turns an error about the name of a kernel object into an error of this project.
func Named(name string, e error) error {
	switch e {
	case windows.ERROR_INVALID_HANDLE:
		return fmt.Errorf("the name %q is taken by another kind of kernel object: %w (%w)", name, layout.ErrKindMismatch, e)
	case windows.ERROR_PATH_NOT_FOUND, windows.ERROR_BAD_PATHNAME, windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE:
		return fmt.Errorf("the kernel accepts no name like %q: %w (%w)", name, fs.ErrInvalid, syserr.OnlyNumber(e))
	}
	return fmt.Errorf("kernel object %q: %w", name, syserr.Space(e))
}

// RandomID returns a random id.
func RandomID() (id layout.ID, err error) {
	_, err = rand.Read(id[:])
	return id, err
}
