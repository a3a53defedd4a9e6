//go:build !windows

package main

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// interrupt does to a process and its children what Ctrl-C does.
func interrupt(c *exec.Cmd, children ...int) error {
	for _, pid := range children {
		p, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		if err := p.Signal(os.Interrupt); err != nil {
			return err
		}
	}
	return c.Process.Signal(os.Interrupt)
}
