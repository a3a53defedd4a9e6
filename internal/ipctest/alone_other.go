//go:build !windows

package ipctest

import "testing"

// Alone keeps tests of other packages, which go test runs beside this one, from using
// what bears the same name on the whole machine. Here Store gives each its own.
func Alone(testing.TB, string) {}
