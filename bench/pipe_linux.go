package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func tunePipe(f *os.File, o order) error {
	if !o.Whole {
		return nil
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, pipeBuffer); err != nil {
		return fmt.Errorf("F_SETPIPE_SZ: %w", err)
	}
	return nil
}
