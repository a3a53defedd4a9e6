package starter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"samepage"
	"samepage/internal/segment"
	"samepage/internal/sys/process"
)

const (
	// soon is the delay until a Starter looks again whether the process that started a child has
	// told how the child ended.
	soon = 10 * time.Millisecond
	// muteAfter is how long it looks. A process that is stopped tells nothing.
	muteAfter = 2 * time.Second
	// killTime is how long a killed process may take to end.
	killTime = 30 * time.Second
)

// lookUp reads the record, and gets a handle on the child that it names, if that child runs. It
// records that a child has ended. A pause says that the process that has started the child runs,
// but has not told yet how the child ended. The caller holds the lock.
func (s *Starter) lookUp() (r *record, running bool, pause time.Duration, err error) {
	if r, err = s.read(); err != nil {
		return nil, false, 0, err
	}
	switch r.State {
	case stateStarting:
		running, err = s.adopt(r)
		return r, running, 0, err
	case stateRuns:
		if running, err = s.hold(r); running || err != nil {
			return r, running, 0, err
		}
		if s.awaitsReport(r) {
			return r, false, soon, nil
		}
		return r, false, 0, s.settle(r, s.exitOf(r))
	}
	return r, false, 0, nil
}

// exitOf returns how the child of r ended, if this Starter had a handle that knows it.
func (s *Starter) exitOf(r *record) process.Exit {
	if s.left == r.child() {
		return s.exited
	}
	return process.Exit{}
}

// hold gets a handle on the child of r. It returns false if the child has ended.
func (s *Starter) hold(r *record) (bool, error) {
	p := r.child()
	if s.held != nil && s.child == p {
		return s.known()
	}
	held, err := process.HoldGroup(p, r.ID)
	switch {
	case errors.Is(err, samepage.ErrPeerNotStarted):
		return false, nil
	case err != nil:
		return false, err
	}
	err = s.letGo()
	s.child, s.held = p, held
	return true, err
}

// awaitsReport says whether the process that has started the child of r is still to tell how the
// child ended.
func (s *Starter) awaitsReport(r *record) bool {
	if !r.Reports {
		return false
	}
	now := time.Now()
	if s.mute != r.ID {
		s.mute, s.since = r.ID, now
	}
	if now.Sub(s.since) > muteAfter {
		return false
	}
	if r.starter() == process.Self() {
		return true
	}
	h, err := process.Hold(r.starter())
	if err != nil {
		return false
	}
	_ = h.Close()
	return true
}

// adopt finds the child that a process has started which died before it could record it. If there
// is none, the place is free. The caller holds the lock, so that process does not start a child
// now.
func (s *Starter) adopt(r *record) (bool, error) {
	for _, p := range process.WithVariable(variable + "=" + hex.EncodeToString(r.ID[:])) {
		// Descendants of the child have the variable, too. The child is the oldest.
		if r.ChildPID == 0 || p.Start < r.ChildStart || p.Start == r.ChildStart && p.PID < r.ChildPID {
			r.ChildPID, r.ChildStart = p.PID, p.Start
		}
	}
	if r.ChildPID != 0 {
		r.State, r.Reports = stateRuns, false
		if err := s.write(r); err != nil {
			return false, err
		}
		if running, err := s.hold(r); running || err != nil {
			return running, err
		}
	}
	return false, s.settle(r, process.Exit{})
}

// settle records that the child of r has ended, and when the next one can be started. If that is
// known already, it adds what is new. The caller holds the lock.
func (s *Starter) settle(r *record, exit process.Exit) error {
	if exit.Known {
		r.setExit(exit)
	}
	if r.State != stateEnded {
		r.State, r.EndedAt = stateEnded, nanos(s.clock.Now())
		r.keepTail()
		if r.ReadyAt != 0 && time.Duration(r.EndedAt-r.ReadyAt) >= s.opts.Steady {
			r.Failures, r.NotBefore = 0, 0
		} else {
			r.Failures++
			if d := s.opts.delayAfter(r.Failures); d > 0 {
				r.NotBefore = r.EndedAt + int64(d)
			}
		}
	}
	r.Reports = false
	r.dropFile()
	return s.write(r)
}

// notStarted records that no child could be started. The caller holds the lock.
func (s *Starter) notStarted(r *record, cause error) error {
	r.setTail([]byte(cause.Error()))
	r.dropFile()
	err := s.settle(r, process.Exit{})
	return errors.Join(s.ended(r, cause), err)
}

// delayAfter returns the delay after so many starts in a row that were no success.
func (o *Options) delayAfter(failures uint32) time.Duration {
	d := o.MinDelay
	for range failures - 1 {
		if d >= o.MaxDelay {
			break
		}
		d *= 2
	}
	return min(d, o.MaxDelay)
}

// delay returns how long the next start must wait. If the record has a later time than is possible,
// the clock was set back, and delay corrects the record. The caller holds the lock.
func (s *Starter) delay(r *record) (time.Duration, error) {
	if r.State != stateEnded || r.NotBefore == 0 {
		return 0, nil
	}
	now := nanos(s.clock.Now())
	d := max(0, time.Duration(r.NotBefore-now))
	if d <= s.opts.MaxDelay {
		return d, nil
	}
	r.NotBefore = now + int64(s.opts.MaxDelay)
	return s.opts.MaxDelay, s.write(r)
}

// trim cuts the file of a running child to nothing if it has more than some bytes. What the child
// writes at this moment may be lost. The caller holds the lock.
func (s *Starter) trim(r *record, most int64) error {
	last, size := r.readFile()
	if size <= most {
		return nil
	}
	r.setTail(last)
	if err := os.Truncate(r.file(), 0); err != nil {
		return err
	}
	return s.write(r)
}

// Stop ends the child and its group, if a child runs, and waits until it has ended.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (s *Starter) Stop(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return s.wrap(err)
	}
	defer s.exit()
	if _, err := s.known(); err != nil {
		return s.wrap(err)
	}
	return s.wrap(s.locked(ctx, func() error {
		_, running, _, err := s.lookUp()
		if running {
			err = s.end()
		}
		return err
	}))
}

// end ends the child of held, and its group. The caller holds the lock.
func (s *Starter) end() error {
	kill := s.held.Kill
	if s.opts.Grace > 0 {
		asked, err := s.held.Ask()
		if err != nil {
			return err
		}
		if asked {
			if err := s.gone(s.opts.Grace); !errors.Is(err, context.DeadlineExceeded) {
				return errors.Join(err, kill()) // the rest of the group
			}
		}
	}
	if err := kill(); err != nil {
		return err
	}
	return s.gone(killTime)
}

// gone waits until the child of held has ended.
func (s *Starter) gone(most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return segment.Until(ctx, s.held.Ended)
}

// Close closes the Starter. Options.Stop says whether the child goes on. If no child runs, the
// record goes with the last Starter. A second Close does nothing.
func (s *Starter) Close() error {
	s.close()
	s.mine <- struct{}{}
	defer s.exit()
	if s.closed {
		return nil
	}
	s.telling.Lock()
	s.silent = true
	s.telling.Unlock()
	var stopped bool
	err := s.locked(context.Background(), func() (err error) {
		stopped, err = s.leave()
		return err
	})
	s.closed = true
	if stopped {
		s.children.Wait() // no zombies are left
	}
	return s.wrap(errors.Join(err, s.lock.Close()))
}

// leave ends the child if it must end now, and closes the record. The caller holds the lock. So of
// two that leave at the same time the second one is the last.
func (s *Starter) leave() (stopped bool, err error) {
	r, running, _, err := s.lookUp()
	mine := err == nil && r.ID == s.own && s.own != process.GroupID{}
	if running {
		stop := s.opts.Stop == WithStarter && mine
		if s.opts.Stop == WithLast {
			stop, err = s.mem.Alone()
		}
		if stop {
			err = errors.Join(err, s.end())
			stopped, running = true, false
		}
	}
	switch {
	case r == nil:
	case r.State == stateRuns && !running:
		err = errors.Join(err, s.settle(r, s.exitOf(r)))
	case r.State == stateRuns && mine:
		r.Reports = false // nobody will
		err = errors.Join(err, s.write(r))
	}
	err = errors.Join(err, s.letGo(), s.mem.Close())
	if err == nil && !running && s.opts.Stop != WithStarter {
		// Another process may have opened it, or removed it.
		_ = samepage.Remove(s.object(), &samepage.Options{Scope: s.opts.Scope, Owner: s.opts.Owner})
	}
	return stopped, err
}

// String names the place in messages.
func (s *Starter) String() string { return fmt.Sprintf("place %d of %q", s.opts.Place, s.name) }
