package main

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// onCPU calls start while this thread is bound to the nth of the CPUs that it may use. The
// process that start starts stays bound.
func onCPU(n int, start func() error) (err error) {
	runtime.LockOSThread()
	var before, one unix.CPUSet // before has more than n
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	defer func() {
		// A thread that stays bound is not used again.
		if failed := unix.SchedSetaffinity(0, &before); failed == nil {
			runtime.UnlockOSThread()
		}
	}()
	cpu := 0
	for ; n > 0 || !before.IsSet(cpu); cpu++ {
		if before.IsSet(cpu) {
			n--
		}
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("bind to CPU %d: %w", cpu, err)
	}
	return start()
}

// cpuTime is the CPU time that this process has used on all CPUs.
func cpuTime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("clock_gettime: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
