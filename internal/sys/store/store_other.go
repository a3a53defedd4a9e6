//go:build !linux && !windows

package store

import (
	"os"
	"path/filepath"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// BaseDir returns the directory that would have objects.
func BaseDir() string {
	if d := os.Getenv("SAMEPAGE_DIR"); d != "" {
		return d
	}
	return filepath.Join(os.TempDir(), "samepage")
}

// Where returns the path of the directory of a scope.
func Where(s layout.Scope) string { return filepath.Join(BaseDir(), s.String()) }

// Remote is not supported.
func Remote(string) (string, error) { return "", syserr.Unsupported("telling file systems apart") }
