//go:build !windows

// Package window has invisible windows. Other programs find such a window by its title and send
// messages to it. Only Windows has them. On other systems the errors match errors.ErrUnsupported.
package window

import (
	"time"

	"samepage/internal/sys/syserr"
)

// Supported says whether the system has windows that other programs find by title.
const Supported = false

// ID names a window of any process; there are none here.
type ID uintptr

// Find is not supported.
func Find(string) (ID, error) { return 0, errNone }

// Exists is false.
func (ID) Exists() bool { return false }

// Send is not supported.
func (ID) Send(uint32, time.Duration) error { return errNone }

// Window is an invisible window; there are none here.
type Window struct{}

// Open is not supported.
func Open(string, func(uint32)) (*Window, error) { return nil, errNone }

// ID is 0.
func (*Window) ID() ID { return 0 }

// Close is not supported.
func (*Window) Close() error { return errNone }

var errNone = syserr.Unsupported("a window")
