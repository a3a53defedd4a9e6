//go:build !windows

package sys

import (
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Sections is not supported: other systems have no sections.
func Sections(layout.Scope) ([]string, error) {
	return nil, syserr.Unsupported("sections of the kernel")
}
