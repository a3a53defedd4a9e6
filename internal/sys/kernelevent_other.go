//go:build !windows

package sys

import (
	"context"
	"errors"
)

// HaveKernelEvents says whether the system has events with names.
const HaveKernelEvents = false

// KernelEvent is a Win32 event; there are none here.
type KernelEvent struct{}

func CreateKernelEvent(*Spec, bool, bool) (*KernelEvent, error) { return nil, errors.ErrUnsupported }

func OpenKernelEvent(*Spec) (*KernelEvent, error) { return nil, errors.ErrUnsupported }
func (*KernelEvent) Set() error                   { return errors.ErrUnsupported }
func (*KernelEvent) Reset() error                 { return errors.ErrUnsupported }
func (*KernelEvent) TryWait() (bool, error)       { return false, errors.ErrUnsupported }
func (*KernelEvent) Wait(context.Context) error   { return errors.ErrUnsupported }
func (*KernelEvent) Close() error                 { return errors.ErrUnsupported }
