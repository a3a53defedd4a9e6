//go:build !linux

package waker

import "time"

// Doze sleeps for d.
func Doze(d time.Duration) { time.Sleep(d) }
