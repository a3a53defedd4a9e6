//go:build !linux

package agent

import "errors"

func setUser(int) error { return errors.ErrUnsupported }
