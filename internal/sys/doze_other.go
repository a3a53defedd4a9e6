//go:build !linux

package sys

import "time"

// Doze sleeps for d.
func Doze(d time.Duration) { time.Sleep(d) }
