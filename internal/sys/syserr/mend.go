package syserr

import (
	"errors"
	"fmt"
)

// mendable is an error with the command by which the user of this process repairs its cause.
type mendable struct {
	err error
	cmd string
}

func (m *mendable) Error() string { return fmt.Sprintf("%v (to mend it: %s)", m.err, m.cmd) }
func (m *mendable) Unwrap() error { return m.err }

// Mending adds the command to an error that does not have one yet.
func Mending(err error, cmd string) error {
	var m *mendable
	if cmd == "" || errors.As(err, &m) {
		return err
	}
	return &mendable{err, cmd}
}

// Mend returns the text of err without the command, and the command that repairs the cause. The
// command is empty if there is none.
func Mend(err error) (text, cmd string) {
	var m *mendable
	if !errors.As(err, &m) {
		return err.Error(), ""
	}
	return m.err.Error(), m.cmd
}
