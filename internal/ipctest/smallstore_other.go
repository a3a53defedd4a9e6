//go:build !linux

package ipctest

import (
	"errors"
	"testing"
)

// SmallStore is not available here. On Windows sections lie in the page file, and a
// directory has no limit.
func SmallStore(testing.TB, string) error { return errors.ErrUnsupported }
