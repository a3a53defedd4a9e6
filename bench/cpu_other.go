//go:build !linux

package main

import "time"

// onCPU calls start.
func onCPU(_ int, start func() error) error { return start() }

// cpuTime is missing: the clocks here are too coarse for operations of a few nanoseconds.
func cpuTime() (time.Duration, error) {
	return 0, missing("no clock of a process's own CPU time")
}
