package samepage_test

import (
	"errors"
	"testing"
)

// smallStore cannot be had: sections lie in the page file, and a directory has no limit.
func smallStore(*testing.T, string) error { return errors.ErrUnsupported }
