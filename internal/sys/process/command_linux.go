package process

import (
	"bytes"
	"os"
	"strconv"
)

// Command returns the command line of a process: its arguments, with the program first. It is empty
// if it is not known, or if this process may not read it.
func Command(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || len(b) == 0 {
		return nil
	}
	var all []string
	for _, arg := range bytes.Split(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		all = append(all, string(arg))
	}
	return all
}
