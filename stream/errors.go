package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"samepage"
	"samepage/internal/sys/syserr"
)

// socketError is an error of this package that also matches the error that a socket would give.
type socketError struct {
	text string
	is   []error
}

func (e *socketError) Error() string   { return e.text }
func (e *socketError) Unwrap() []error { return e.is }

var (
	errClosed   = &socketError{"use of a closed connection or listener", []error{net.ErrClosed, fs.ErrClosed}}
	errNoWrites = &socketError{"writing after CloseWrite", []error{syserr.BrokenPipe}}
	errPeerGone = &socketError{"the other end is closed", []error{syserr.BrokenPipe}}
	errInUse    = &socketError{"another process listens at this name", []error{syserr.AddrInUse, fs.ErrExist}}
)

// refused says that nobody listens.
func refused(why string) error {
	return &socketError{"nobody listens" + why, []error{samepage.ErrPeerNotStarted, syserr.ConnRefused}}
}

// died says that the process at the other end has died, or has dropped the connection.
func died(who string) error {
	return &socketError{fmt.Sprintf("the other end, %s, has died: connection reset", who), []error{samepage.ErrPeerDied, syserr.ConnReset}}
}

// wrap makes the error that net.Conn and net.Listener give.
func wrap(op string, at Addr, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrClosed) {
		err = errClosed
	}
	return &net.OpError{Op: op, Addr: at, Err: err} // the text of the address has the network
}
