//go:build !windows

// Package window has windows without a picture: other programs find one by its title and send
// it messages. Only Windows has them; elsewhere the errors match errors.ErrUnsupported.
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

// Window is a window without a picture; there are none here.
type Window struct{}

// Open is not supported.
func Open(string, func(uint32)) (*Window, error) { return nil, errNone }

// ID is 0.
func (*Window) ID() ID { return 0 }

// Close is not supported.
func (*Window) Close() error { return errNone }

var errNone = syserr.Unsupported("a window")
