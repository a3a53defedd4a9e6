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

// Prefix is what the names of a scope's kernel objects begin with.
func Prefix(s layout.Scope) string {
	if s == layout.Global {
		return `Global\`
	}
	return `Local\`
}

// ExactName is the full name of a kernel object: a prefix in the name stays as it is.
func ExactName(s layout.Scope, name string) string {
	if strings.Contains(name, `\`) {
		return name
	}
	return Prefix(s) + name
}

// NamePtr is a name for the kernel: nil for none. Errors: fs.ErrInvalid.
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

// Named makes the error of a kernel object's name one of ours.
func Named(name string, e error) error {
	switch e {
	case windows.ERROR_INVALID_HANDLE:
		return fmt.Errorf("the name %q is taken by another kind of kernel object: %w (%w)", name, layout.ErrKindMismatch, e)
	case windows.ERROR_PATH_NOT_FOUND, windows.ERROR_BAD_PATHNAME, windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE:
		return fmt.Errorf("the kernel accepts no name like %q: %w (%w)", name, fs.ErrInvalid, syserr.OnlyNumber(e))
	}
	return fmt.Errorf("kernel object %q: %w", name, syserr.Space(e))
}

// RandomID makes up an id.
func RandomID() (id layout.ID, err error) {
	_, err = rand.Read(id[:])
	return id, err
}
