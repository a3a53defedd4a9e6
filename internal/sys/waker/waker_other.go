//go:build !linux && !windows

package waker

import "samepage/internal/sys/syserr"

var errMembers = syserr.Unsupported("waking another process")

// Waker would let a member sleep.
type Waker struct{}

// New is not supported.
func (Segment) New(int, uint32, *uint32) (*Waker, error) { return nil, errMembers }

// Sleep does nothing.
func (*Waker) Sleep(uint32) {}

// Close does nothing.
func (*Waker) Close() error { return nil }

// Ringer would ring wakers.
type Ringer struct{}

// NewRinger makes a ringer.
func (Segment) NewRinger() *Ringer { return &Ringer{} }

// Ring does nothing.
func (*Ringer) Ring(int, uint32, *uint32) {}

// Close does nothing.
func (*Ringer) Close() {}

// Bell would wake a thread that sleeps on several wakers.
type Bell struct{}

// NewBell is not supported.
func NewBell() (*Bell, error) { return nil, errMembers }

// State is 0.
func (*Bell) State() uint32 { return 0 }

// Ring does nothing.
func (*Bell) Ring() {}

// Close does nothing.
func (*Bell) Close() error { return nil }

// SleepsOnAtMost returns 0.
func SleepsOnAtMost() int { return 0 }

// SleepAny does nothing.
func SleepAny([]*Waker, []uint32, *Bell, uint32) {}
