package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"samepage"
	"samepage/internal/call"
	"samepage/internal/sys/process"
)

// Error is the error of a handler. A handler may return one. Then the call returns an Error with
// the same fields. If a handler returns another error, the call returns an Error with its text.
type Error struct {
	// Code is for the programs at both ends. 0: the handler has given none.
	Code uint32
	// Text is for people. If it is too long for the service, it is cut.
	Text string
}

func (e *Error) Error() string {
	if e.Code == 0 {
		return e.Text
	}
	return fmt.Sprintf("%s (code %d)", e.Text, e.Code)
}

// answerOf is the Error that a client gets for the error of a handler.
func answerOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Text: err.Error()}
}

// errOf is the error that a part of an answer is, or nil.
func errOf(a *call.Answer) error {
	if !a.Failed {
		return nil
	}
	return &Error{Code: a.Code, Text: string(a.Bytes)}
}

// errBroken is the error of a call whose handler did not return.
var errBroken = &Error{Text: "the handler panicked, or ended its goroutine"}

// PeerDiedError says which worker died during a call. It matches samepage.ErrPeerDied.
type PeerDiedError struct {
	PID     int       // 0: not known
	Name    string    // of the program
	Noticed time.Time // when a member of the service noticed the death
	// Foreign: PID belongs to another pid namespace, such as that of a container.
	Foreign bool
	// Worker says how the worker ended, if a Supervisor of the client has started it. Otherwise it
	// is nil.
	Worker *WorkerError
}

func (e *PeerDiedError) Error() string {
	who := "the worker"
	if e.PID != 0 {
		where := ""
		if e.Foreign {
			where = " of another pid namespace"
		}
		who = fmt.Sprintf("the worker, process %d%s (%s),", e.PID, where, e.Name)
	}
	text := fmt.Sprintf("%s has died before it answered: %v", who, samepage.ErrPeerDied)
	if e.Worker != nil {
		text += "; " + e.Worker.Error()
	}
	return text
}

// Is makes the error match samepage.ErrPeerDied.
func (e *PeerDiedError) Is(target error) bool { return target == samepage.ErrPeerDied }

func now() int64 { return time.Now().UnixNano() }

// diedDuring is the error of a call whose worker has died.
func (c *client) diedDuring(ctx context.Context, k *Call) error {
	e := &PeerDiedError{Noticed: time.Now()}
	if d, ok := c.set.Died(k.slot, k.n); ok {
		e.PID, e.Name, e.Noticed = int(d.PID), d.Name, time.Unix(0, d.At)
		e.Foreign = d.Space != 0 && d.Space != process.PIDSpace()
	}
	// A worker of the Supervisor may have the same PID here as a foreign one there.
	if s := c.sup.Load(); s != nil && e.PID != 0 && !e.Foreign {
		e.Worker, _ = s.End(ctx, e.PID)
	}
	return e
}

// errNoWorker is the error of a call that nobody will take.
var errNoWorker = fmt.Errorf("no worker of the service is running: %w", samepage.ErrPeerNotStarted)

// whoHas adds to the error of a call that was given up who still works on it.
func (s *service) whoHas(slot int, n uint16, err error) error {
	if _, w, lerr := s.set.Look(slot, n); lerr == nil && !w.Free() {
		if who, ok := s.h.WhoIs(w); ok {
			return fmt.Errorf("%v has not answered yet: %w", who, err)
		}
	}
	return err
}
