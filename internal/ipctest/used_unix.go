//go:build unix

package ipctest

import (
	"syscall"
	"time"
)

func used() cost {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return cost{time.Duration(r.Utime.Nano() + r.Stime.Nano()), int64(r.Nvcsw)}
}
