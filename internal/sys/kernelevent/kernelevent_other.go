//go:build !windows

// Package kernelevent has Win32 events under names that other programs know. Only Windows has such
// events. On other systems the errors match errors.ErrUnsupported.
package kernelevent

import (
	"context"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Supported says whether the system has events with names.
const Supported = false

// Event is a Win32 event; there are none here.
type Event struct{}

var errNone = syserr.Unsupported("a kernel event")

// Create is not supported.
func Create(_ string, _ layout.Scope, _ string, manual, set bool) (*Event, error) {
	return nil, errNone
}

// Open is not supported.
func Open(string, layout.Scope) (*Event, error) { return nil, errNone }

// Set is not supported.
func (*Event) Set() error { return errNone }

// Reset is not supported.
func (*Event) Reset() error { return errNone }

// TryWait is not supported.
func (*Event) TryWait() (bool, error) { return false, errNone }

// Wait is not supported.
func (*Event) Wait(context.Context) error { return errNone }

// Close is not supported.
func (*Event) Close() error { return errNone }
