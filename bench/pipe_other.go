//go:build !linux

package main

import "os"

// tunePipe does nothing: only Linux has pipes whose size can be changed.
func tunePipe(*os.File, order) error { return nil }
