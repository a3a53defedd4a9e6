//go:build !windows

package sys

import (
	"errors"
	"time"
)

// HaveWindows says whether the system has windows that other programs find by title.
const HaveWindows = false

// WindowID names a window of any process; there are none here.
type WindowID uintptr

func FindWindow(string) (WindowID, error)         { return 0, errors.ErrUnsupported }
func (WindowID) Exists() bool                     { return false }
func (WindowID) Send(uint32, time.Duration) error { return errors.ErrUnsupported }

// Window is a window without a picture; there are none here.
type Window struct{}

func OpenWindow(string, func(uint32)) (*Window, error) { return nil, errors.ErrUnsupported }
func (*Window) ID() WindowID                           { return 0 }
func (*Window) Close() error                           { return errors.ErrUnsupported }
