//go:build !linux

// Line needs network namespaces, which only Linux has.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "line:", errors.ErrUnsupported)
	os.Exit(1)
}
