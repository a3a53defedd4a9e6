package syserr

import (
	"errors"
	"fmt"
)

// mendable is an error with the command that mends its cause, for the user of this process.
type mendable struct {
	err error
	cmd string
}

func (m *mendable) Error() string { return fmt.Sprintf("%v (to mend it: %s)", m.err, m.cmd) }
func (m *mendable) Unwrap() error { return m.err }

// Mending adds the command to an error that has none yet.
func Mending(err error, cmd string) error {
	var m *mendable
	if cmd == "" || errors.As(err, &m) {
		return err
	}
	return &mendable{err, cmd}
}

// Mend is the text of err without the command that mends it, and that command: empty if there is
// none.
func Mend(err error) (text, cmd string) {
	var m *mendable
	if !errors.As(err, &m) {
		return err.Error(), ""
	}
	return m.err.Error(), m.cmd
}
