//go:build !linux && !windows

package samepage_test

import (
	"errors"
	"testing"
)

func smallStore(*testing.T, string) error { return errors.ErrUnsupported }
