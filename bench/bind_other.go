//go:build !linux

package main

import "time"

// onCPU calls start.
func onCPU(_ int, start func() error) error { return start() }

// bindProcess does nothing.
func bindProcess(int) error { return nil }

// cpuTime is missing: the clocks here are too coarse for operations of a few nanoseconds.
func cpuTime() (time.Duration, error) {
	return 0, missing("no clock of a process's own CPU time")
}

func threadTime() (time.Duration, error) { return cpuTime() }
