package ipctest

import (
	"syscall"
	"time"
)

// Of itself, for Wine knows no times of another process.
func used() cost {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		panic(err)
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &created, &exited, &kernel, &user); err != nil {
		panic(err)
	}
	// Not Filetime.Nanoseconds, which is a date.
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }
	return cost{time.Duration(ticks(kernel)+ticks(user)) * 100, -1}
}
