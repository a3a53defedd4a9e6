//go:build !linux

package record

import "os"

func writeBack(*os.File, uint64, uint64) {}
