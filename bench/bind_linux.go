package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
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
	cpu := nth(&before, n)
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("bind to CPU %d: %w", cpu, err)
	}
	return start()
}

// nth is the nth CPU of a set, counted from 0. The set has more than n.
func nth(set *unix.CPUSet, n int) int {
	cpu := 0
	for ; n > 0 || !set.IsSet(cpu); cpu++ {
		if set.IsSet(cpu) {
			n--
		}
	}
	return cpu
}

// bindProcess binds all threads of this process to the nth of the CPUs that it may use. Threads
// that start later are bound, too, because a thread gets the CPUs of the thread that starts it.
func bindProcess(n int) error {
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	if may.Count() <= n {
		return nil // nothing to choose from
	}
	one.Set(nth(&may, n))
	// A thread that is not bound yet may start another one. So it looks again until it finds
	// only threads that it has bound.
	bound := map[int]bool{}
	for found := true; found; {
		found = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil || bound[id] {
				continue
			}
			if err := unix.SchedSetaffinity(id, &one); err != nil && err != unix.ESRCH { // it has ended
				return fmt.Errorf("bind thread %d: %w", id, err)
			}
			bound[id], found = true, true
		}
	}
	return nil
}

// cpuTime is the CPU time that this process has used on all CPUs.
func cpuTime() (time.Duration, error) { return cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID) }

// threadTime is the CPU time that this thread has used.
func threadTime() (time.Duration, error) { return cpuClock(unix.CLOCK_THREAD_CPUTIME_ID) }

func cpuClock(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, fmt.Errorf("clock_gettime: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
