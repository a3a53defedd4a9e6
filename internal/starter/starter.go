// Package starter starts worker processes, and keeps them running, however many processes want
// them to run.
//
// A Starter starts one child of a name: it has one place. A Supervisor has several places, restarts
// children that end, and knows when they are ready.
//
// All processes that open a place by one name share a record of the child that was started last:
// its id and its start time. No two processes have both in common. The record changes under a
// lock that all share. So if several processes find that the child does not run, only one of them
// starts it. The record also says how the last child ended, and when the next one can be started.
//
// A handle on the process (a pidfd, a process handle) shows whether the child runs. The exit code
// does not, because 259 (STILL_ACTIVE) is also a possible exit code. The parent waits for its
// child in the background. So a child that was killed has ended at once, for its parent and for
// all others. The parent writes the exit status into the record.
//
// A process may be killed after it has started a child and before it has written the record. On
// Linux the next process finds that child by an environment variable (docs/decisions/0027). On
// Windows the kernel ends a child that is in a group of its own.
package starter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"sync"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/segment"
	"samepage/internal/sys/process"
	"samepage/ipcsync"
	"samepage/layout"
)

// prefix separates the names of places from the names of their users' memories and locks.
const prefix = "starter."

// MaxName is the longest name of a starter, in bytes.
const MaxName = layout.MaxName - len(prefix) - len(".00")

// MaxPlaces is how many children of one name can run.
const MaxPlaces = 64

// variable is the environment variable with the ID of a start. It finds a child of which its parent
// could not write that it exists.
const variable = "SAMEPAGE_WORKER"

// Stop says when the child is ended.
type Stop int

const (
	// Stay: never. A process that opens the place later finds the child.
	Stay Stop = iota
	// WithLast: when the last Starter of the place is closed. If that process is killed instead,
	// Windows ends the child. Linux does not, and the next Starter of the place finds the child.
	WithLast
	// WithStarter: when the Starter that has started the child is closed, or its process ends.
	WithStarter
)

// Options are the options of a place. The zero value, and nil, mean the default of each.
type Options struct {
	Scope              samepage.Scope
	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string

	Place int  // 0 to MaxPlaces-1
	Stop  Stop // by default Stay
	// Together: the child leads a group of its own (see package process), which ends with it.
	Together bool
	// Tail keeps the last lines of the child's standard error. If the command has a standard error
	// of its own, they are kept only with Stop: WithStarter.
	Tail bool
	// MinDelay is the delay after a start that is no success. It doubles with each further one, up
	// to MaxDelay. A success is a child that was ready for Steady. By default there is no delay.
	MinDelay, MaxDelay, Steady time.Duration
	// Grace is how long a child may take to end after it was asked to (SIGTERM), before it is
	// killed. By default it is killed at once.
	Grace time.Duration

	clock clock // nil: the system's
}

// clock is what a Starter knows about the time.
type clock interface {
	Now() time.Time
	After(time.Duration) <-chan time.Time
}

type wallClock struct{}

func (wallClock) Now() time.Time                         { return time.Now() }
func (wallClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Starter starts the child of a place. Its methods may be called concurrently. The zero value is
// not usable.
type Starter struct {
	name  string
	opts  Options
	lock  *ipcsync.Mutex
	mem   *samepage.Memory
	clock clock

	closing  context.Context // done when Close is called
	close    context.CancelFunc
	children sync.WaitGroup // the goroutines that wait for a child
	telling  sync.Mutex     // held while one of them writes the record
	silent   bool           // guarded by telling: none of them may write it any more

	mine   chan struct{} // has an element while a call uses the fields below
	closed bool
	child  layout.Process  // the child of held
	held   *process.Group  // nil: no child is known
	own    process.GroupID // of the child that this Starter has started last
	left   layout.Process  // the child of the previous held, if it had ended
	exited process.Exit    // how left ended, as far as held knew
	mute   process.GroupID // a start whose end the process that started it has not told, since
	since  time.Time
}

// Open opens a place, or makes it.
//
// Errors: samepage.ErrName, fs.ErrInvalid, and those of samepage.OpenOrCreate.
func Open(name string, opts *Options) (*Starter, error) {
	s, err := open(name, opts)
	if err != nil {
		return nil, fmt.Errorf("starter: open %q: %w", name, err)
	}
	return s, nil
}

func open(name string, opts *Options) (*Starter, error) {
	if name == "" || len(name) > MaxName {
		return nil, fmt.Errorf("the name has %d bytes, want 1 to %d: %w", len(name), MaxName, samepage.ErrName)
	}
	if opts == nil {
		opts = &Options{}
	}
	if opts.Place < 0 || opts.Place >= MaxPlaces {
		return nil, fmt.Errorf("place %d, want 0 to %d: %w", opts.Place, MaxPlaces-1, fs.ErrInvalid)
	}
	s := &Starter{name: name, opts: *opts, clock: opts.clock, mine: make(chan struct{}, 1)}
	if s.clock == nil {
		s.clock = wallClock{}
	}
	var err error
	s.lock, _, err = ipcsync.OpenOrCreateMutex(s.object(), &ipcsync.Options{
		Scope: opts.Scope, Perm: opts.Perm, SecurityDescriptor: opts.SecurityDescriptor, Owner: opts.Owner,
	})
	if err != nil {
		return nil, err
	}
	// The record stays while the child may outlive all that have it open. Close removes it.
	lifetime := samepage.Persist
	if opts.Stop == WithStarter {
		lifetime = samepage.WhileUsed
	}
	s.mem, _, err = samepage.OpenOrCreate(s.object(), recordSize, &samepage.Options{
		Scope: opts.Scope, Perm: opts.Perm, SecurityDescriptor: opts.SecurityDescriptor, Owner: opts.Owner, Lifetime: lifetime,
	})
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

// object is the name of the place's record and lock.
func (s *Starter) object() string {
	if s.opts.Place == 0 {
		return prefix + s.name
	}
	return fmt.Sprintf("%s%s.%d", prefix, s.name, s.opts.Place)
}

// Ensure starts a child, unless the child that was started last still runs, whoever started it.
// It returns the process that runs now, and says whether this call has started it. If a delay is
// not over, Ensure waits. If this Starter knows the child already and the child runs, Ensure costs
// one system call and allocates nothing.
//
// Ensure calls command only to start the child. command makes the exec.Cmd, and Ensure calls its
// Wait. Where the exec.Cmd says nothing, the defaults of package os/exec apply: the child
// inherits nothing except environment, directory, and with Tail its standard error. The child has
// the variable SAMEPAGE_WORKER in addition. A child may have ended when Ensure returns.
//
// Errors: samepage.ErrClosed; the error of ctx, during a delay together with a *WorkerError that
// says how the last child ended; the error of command; a *WorkerError, if the child cannot be
// started, with the error of exec.Cmd.Start.
func (s *Starter) Ensure(ctx context.Context, command func() (*exec.Cmd, error)) (child layout.Process, started bool, err error) {
	for {
		child, started, delay, last, err := s.attempt(ctx, command)
		if err != nil || delay == 0 {
			return child, started, s.wrap(err)
		}
		after := s.clock.After
		if last == nil {
			after = time.After // a pause until another process writes the record
		}
		select {
		case <-after(delay):
		case <-s.closing.Done():
			return layout.Process{}, false, s.wrap(samepage.ErrClosed)
		case <-ctx.Done():
			err = ctx.Err()
			if last != nil {
				err = errors.Join(err, last)
			}
			return layout.Process{}, false, s.wrap(err)
		}
	}
}

// attempt is Ensure, but it returns a delay instead of waiting, and how the last child ended.
func (s *Starter) attempt(ctx context.Context, command func() (*exec.Cmd, error)) (child layout.Process, started bool, delay time.Duration, last *WorkerError, err error) {
	if err := s.enter(ctx); err != nil {
		return layout.Process{}, false, 0, nil, err
	}
	defer s.exit()
	if running, err := s.known(); running || err != nil {
		return s.child, false, 0, nil, err
	}
	err = s.locked(ctx, func() error {
		r, running, pause, err := s.lookUp()
		if running || err != nil {
			return err
		}
		if delay = pause; delay != 0 {
			return nil
		}
		if delay, err = s.delay(r); delay != 0 || err != nil {
			last = s.ended(r, nil)
			return err
		}
		started = true
		return s.start(r, command)
	})
	if err != nil || delay != 0 {
		return layout.Process{}, false, delay, last, err
	}
	return s.child, started, 0, nil, nil
}

// Running says whether a child runs, and which one. It starts none. Errors: samepage.ErrClosed,
// the error of ctx.
func (s *Starter) Running(ctx context.Context) (child layout.Process, running bool, err error) {
	if err := s.enter(ctx); err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	defer s.exit()
	running, err = s.known()
	if !running && err == nil {
		err = s.locked(ctx, func() (err error) {
			_, running, _, err = s.lookUp()
			return err
		})
	}
	if !running || err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	return s.child, true, nil
}

// Alive says whether the child that Ensure or Running has returned last still runs. It costs one
// system call. If another call uses the Starter, Alive returns true.
func (s *Starter) Alive() bool {
	select {
	case s.mine <- struct{}{}:
	default:
		return true
	}
	defer s.exit()
	if s.closed || s.held == nil {
		return false
	}
	ended, err := s.held.Ended()
	return err == nil && !ended
}

// SetReady says that the child is ready. Errors: samepage.ErrPeerNotStarted, if the child has
// ended; samepage.ErrClosed; the error of ctx.
func (s *Starter) SetReady(ctx context.Context, child layout.Process) error {
	if err := s.enter(ctx); err != nil {
		return s.wrap(err)
	}
	defer s.exit()
	return s.wrap(s.locked(ctx, func() error {
		r, err := s.read()
		if err != nil {
			return err
		}
		if r.State != stateRuns || r.child() != child {
			return fmt.Errorf("process %d: %w", child.PID, samepage.ErrPeerNotStarted)
		}
		if r.ReadyAt != 0 {
			return nil
		}
		r.ReadyAt = nanos(s.clock.Now())
		return s.write(r)
	}))
}

// Ended says how a child ended that Ensure has returned, or nil if another child was started
// meanwhile, or child still runs. If the process that started the child has not told it yet, Ended
// waits. Errors: samepage.ErrClosed, the error of ctx.
func (s *Starter) Ended(ctx context.Context, child layout.Process) (*WorkerError, error) {
	var e *WorkerError
	err := segment.Until(ctx, func() (done bool, err error) {
		if err := s.enter(ctx); err != nil {
			return false, err
		}
		defer s.exit()
		if _, err := s.known(); err != nil {
			return false, err
		}
		err = s.locked(ctx, func() error {
			r, _, pause, err := s.lookUp()
			if err == nil && r.State == stateEnded && r.child() == child {
				e = s.ended(r, nil)
			}
			done = pause == 0
			return err
		})
		return done, err
	})
	return e, s.wrap(err)
}

// Last returns how the last child ended, as it is recorded now, or nil if none has ended, or if one
// was started meanwhile.
func (s *Starter) Last() *WorkerError {
	r, err := s.read() // not locked: a record that is just being written is an empty one
	if err != nil || r.State != stateEnded {
		return nil
	}
	return s.ended(r, nil)
}

// Trim cuts the file of the child's standard error, if it is large.
func (s *Starter) Trim(ctx context.Context) error {
	if !s.opts.Tail {
		return nil
	}
	if err := s.enter(ctx); err != nil {
		return s.wrap(err)
	}
	defer s.exit()
	return s.wrap(s.locked(ctx, func() error {
		r, err := s.read()
		if err != nil || r.State != stateRuns || !r.File {
			return err
		}
		return s.trim(r, maxFile)
	}))
}

func (s *Starter) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("starter: child %q: %w", s.name, err)
	}
	return nil
}

// enter waits for its turn among the calls of this Starter. Errors: the error of ctx,
// samepage.ErrClosed.
func (s *Starter) enter(ctx context.Context) error {
	select {
	case s.mine <- struct{}{}:
		return nil
	case <-s.closing.Done():
		return samepage.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Starter) exit() { <-s.mine }

// locked calls f under the lock that all processes share.
func (s *Starter) locked(ctx context.Context, f func() error) (err error) {
	err = s.lock.Lock(ctx)
	if errors.Is(err, samepage.ErrOwnerDied) {
		// Either the record is whole, or its checksum shows that it is not.
		err = s.lock.Consistent()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lock.Unlock()) }() // also if f panics
	return f()
}

// known says whether the child of held still runs. If it has ended, known ends its group and closes
// held.
func (s *Starter) known() (bool, error) {
	if s.closed {
		return false, samepage.ErrClosed
	}
	if s.held == nil {
		return false, nil
	}
	ended, err := s.held.Ended()
	if err == nil && ended {
		err = s.letGo()
	}
	return err == nil && !ended, err
}

func (s *Starter) letGo() error {
	s.child = layout.Process{}
	if s.held == nil {
		return nil
	}
	held := s.held
	s.held = nil
	if ended, _ := held.Ended(); ended {
		s.left, s.exited = held.Process(), held.Exit()
		if s.opts.Together {
			_ = held.Kill() // the rest of the group, as far as this user may
		}
	}
	return held.Close()
}

func (s *Starter) read() (*record, error) {
	var b [recordSize]byte
	if _, err := s.mem.ReadAt(b[:], 0); err != nil {
		return nil, err
	}
	return parseRecord(b[:]), nil
}

func (s *Starter) write(r *record) error {
	_, err := s.mem.WriteAt(appendRecord(nil, r), 0)
	return err
}

// newID returns the ID of a start, and the environment variable with it.
func newID() (id process.GroupID, kv string) {
	_, _ = rand.Read(id[:]) // never fails
	return id, variable + "=" + hex.EncodeToString(id[:])
}

// start starts a child and records it. The caller holds the lock.
func (s *Starter) start(old *record, command func() (*exec.Cmd, error)) error {
	cmd, err := command()
	if err == nil && cmd == nil {
		err = fmt.Errorf("the function command returned no command: %w", fs.ErrInvalid)
	}
	if err != nil {
		return err
	}
	old.dropFile() // if it could not be removed earlier
	self, err := process.Myself()
	if err != nil {
		return err
	}
	id, kv := newID()
	r := &record{
		State: stateStarting, ID: id, StarterPID: self.PID, StarterStart: self.Start, StartedAt: nanos(s.clock.Now()),
		Failures: old.Failures, Reports: true, Together: s.opts.Together,
	}
	cmd.Env = append(cmd.Environ(), kv)
	var tail *pipeTail
	var file interface{ Close() error }
	switch {
	case !s.opts.Tail:
	case s.opts.Stop == WithStarter:
		tail = &pipeTail{next: cmd.Stderr}
		cmd.Stderr = tail
		if cmd.WaitDelay == 0 {
			cmd.WaitDelay = time.Second // a descendant outside the group may have the pipe
		}
	case cmd.Stderr == nil:
		f, err := r.makeFile()
		if err != nil {
			return fmt.Errorf("make the file for standard error: %w", err)
		}
		cmd.Stderr, file = f, f
	}
	err = s.write(r)
	var g *process.Group
	if err == nil {
		g, err = process.StartGroup(cmd, process.GroupOptions{
			ID: id, Together: s.opts.Together, WithParent: s.opts.Stop == WithStarter,
		})
		fault.At(fault.WorkerStarted)
	}
	if file != nil {
		_ = file.Close()
	}
	if err != nil {
		if cmd.Process != nil {
			go func() { _ = cmd.Wait() }()
		}
		return s.notStarted(r, err)
	}
	r.State, r.ChildPID, r.ChildStart = stateRuns, g.Process().PID, g.Process().Start
	if err := s.write(r); err != nil {
		_ = g.Kill()
		go func() { _ = cmd.Wait(); _ = g.Close() }()
		return err
	}
	if s.opts.Stop == Stay {
		if err := g.Keep(); err != nil {
			return err
		}
	}
	s.own = id
	s.children.Add(1)
	go s.await(cmd, g, id, tail)
	if _, err := s.hold(r); err != nil {
		return err
	}
	s.child = r.child() // also if it has ended meanwhile
	return nil
}

// await waits for a child of this process.
func (s *Starter) await(cmd *exec.Cmd, g *process.Group, id process.GroupID, tail *pipeTail) {
	defer s.children.Done()
	g.Await()
	if s.opts.Together {
		_ = g.Kill() // before Wait, since the id of the group is the child's
	}
	_ = cmd.Wait()
	_ = g.Close()
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.silent {
		return
	}
	_ = s.locked(s.closing, func() error {
		r, err := s.read()
		if err != nil || r.ID != id || r.State != stateRuns && r.State != stateEnded {
			return err
		}
		if tail != nil {
			r.setTail(tail.bytes())
		}
		return s.settle(r, process.ExitOf(cmd.ProcessState))
	})
}
