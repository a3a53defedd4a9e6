package starter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"sync"

	"samepage"
	"samepage/internal/segment"
	"samepage/layout"
)

// Restart says which workers a Supervisor starts again by itself. Each Ensure starts what is
// missing.
type Restart int

const (
	// Always: each worker that ends.
	Always Restart = iota
	// OnFailure: each worker that ends, unless its exit status is known to be 0.
	OnFailure
	// OnDemand: none.
	OnDemand
)

// Event is what has happened to a worker.
type Event int

const (
	Started Event = iota // by this process, or it was found
	Ready
	Ended // or it could not be started
)

// Notice says what has happened to a worker.
type Notice struct {
	Event Event
	Place int
	PID   int   // 0: no worker could be started
	Err   error // of Ended, usually a *WorkerError
}

// Config says what a Supervisor does.
type Config struct {
	Options // of each place; Place and clock are not used

	Places int // number of workers, 1 to MaxPlaces
	// Command makes the command of a worker, see Starter.Ensure.
	Command func() (*exec.Cmd, error)
	// Ready returns nil when the worker is ready. ctx ends when the worker does. nil: a worker is
	// ready when it was started. It is called in each process that uses the worker. It may be
	// called concurrently for several workers.
	Ready   func(ctx context.Context, pid int) error
	Restart Restart
	// Notify is called when something happens, if it is not nil: one call at a time. It must not
	// call methods of the Supervisor.
	Notify func(Notice)
}

// Supervisor keeps the workers of a name running while it is open. Its methods may be called
// concurrently. Several Supervisors of a name, in any processes, share the workers.
type Supervisor struct {
	name string
	c    Config
	all  []*keeper

	ctx       context.Context // done when Close is called
	cancel    context.CancelFunc
	notifying sync.Mutex
	running   sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the fields of the keepers
	begun   bool       // the keepers run
	changed chan struct{}
}

// keeper keeps the worker of one place running. One goroutine runs it.
type keeper struct {
	s      *Supervisor
	st     *Starter
	wanted chan struct{} // has an element if a caller wants a worker

	ready    bool
	idle     bool         // it waits until a worker is wanted
	pid      int          // 0: no worker runs
	failures int          // how many workers did not become ready
	last     error        // why the last worker is not ready, or has ended
	ended    *WorkerError // how the last worker ended that ran
}

// Supervise opens the places of a name. It starts no worker.
//
// Errors: fs.ErrInvalid, and those of Open.
func Supervise(name string, c Config) (*Supervisor, error) {
	if c.Places < 1 || c.Places > MaxPlaces {
		return nil, fmt.Errorf("starter: %d workers of %q, want 1 to %d: %w", c.Places, name, MaxPlaces, fs.ErrInvalid)
	}
	if c.Command == nil {
		return nil, fmt.Errorf("starter: workers of %q without a command: %w", name, fs.ErrInvalid)
	}
	s := &Supervisor{name: name, c: c, changed: make(chan struct{})}
	for place := range c.Places {
		o := c.Options
		o.Place = place
		st, err := Open(name, &o)
		if err != nil {
			return nil, errors.Join(err, s.closePlaces())
		}
		s.all = append(s.all, &keeper{s: s, st: st, wanted: make(chan struct{}, 1)})
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Ensure waits until a worker is ready, and starts all that are missing. It returns at once if
// one is ready. If the workers end before one is ready, Ensure returns how they ended.
//
// Errors: samepage.ErrClosed; one *WorkerError for each place, or the errors of Config.Command and
// Config.Ready; the error of ctx, together with how the last workers ended.
func (s *Supervisor) Ensure(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return samepage.ErrClosed
	}
	s.mu.Lock()
	s.begin()
	before := make([]int, len(s.all))
	for i, k := range s.all {
		before[i] = k.failures
	}
	for {
		for _, k := range s.all {
			if k.ready && k.st.Alive() {
				s.mu.Unlock()
				return nil
			}
		}
		failed := true
		for i, k := range s.all {
			failed = failed && k.failures != before[i]
		}
		if failed {
			err := s.lastErrors()
			s.mu.Unlock()
			return err
		}
		for i, k := range s.all {
			if k.failures == before[i] {
				k.want()
			}
		}
		changed := s.changed
		s.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-s.ctx.Done():
			return samepage.ErrClosed
		case <-ctx.Done():
			err = segment.Deadline(ctx.Err())
		}
		s.mu.Lock()
		if err != nil {
			last := s.lastErrors()
			s.mu.Unlock()
			if last == nil {
				last = s.recorded()
			}
			return errors.Join(err, last)
		}
	}
}

// recorded returns how the last workers ended, as any process has recorded it.
func (s *Supervisor) recorded() error {
	var errs []error
	for _, k := range s.all {
		if e := k.st.Last(); e != nil {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

// Wait waits until no worker runs, and none will be started before the next Ensure. It returns nil
// if the last worker of each place ended with exit status 0. If Ensure was never called, it waits
// for that.
//
// Errors: samepage.ErrClosed, the error of ctx, and how the last workers ended.
func (s *Supervisor) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		idle := s.begun
		for _, k := range s.all {
			idle = idle && k.idle
		}
		changed, err := s.changed, s.lastErrors()
		s.mu.Unlock()
		if idle {
			return err
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return samepage.ErrClosed
		case <-ctx.Done():
			return segment.Deadline(ctx.Err())
		}
	}
}

// End returns how the worker with that process id ended. It waits until that is known. It returns
// nil if the worker is none of the last ones of this Supervisor.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (s *Supervisor) End(ctx context.Context, pid int) (*WorkerError, error) {
	for {
		s.mu.Lock()
		runs := false
		for _, k := range s.all {
			if k.ended != nil && k.ended.PID == pid {
				defer s.mu.Unlock()
				return k.ended, nil
			}
			runs = runs || k.pid == pid
		}
		changed := s.changed
		s.mu.Unlock()
		if !runs {
			return nil, nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return nil, samepage.ErrClosed
		case <-ctx.Done():
			return nil, segment.Deadline(ctx.Err())
		}
	}
}

// PIDs returns the process ids of the workers that run and are known here.
func (s *Supervisor) PIDs() (all []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if k.pid != 0 && k.st.Alive() {
			all = append(all, k.pid)
		}
	}
	return all
}

// Last returns how the last worker of each place ended, as one error, or nil. A worker with exit
// status 0 is none.
func (s *Supervisor) Last() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErrors()
}

// Close closes the Supervisor. Options.Stop says whether the workers go on. A second Close does
// nothing.
func (s *Supervisor) Close() error {
	s.cancel()
	s.mu.Lock()
	s.begun = true // nothing begins any more
	s.mu.Unlock()
	s.running.Wait()
	return s.closePlaces()
}

func (s *Supervisor) closePlaces() error {
	errs := make([]error, len(s.all))
	var wg sync.WaitGroup
	for i, k := range s.all {
		wg.Go(func() { errs[i] = k.st.Close() }) // together, since each may wait for its worker
	}
	wg.Wait()
	return errors.Join(errs...)
}

// begin starts the keepers. The caller holds mu.
func (s *Supervisor) begin() {
	if s.begun {
		return
	}
	s.begun = true
	for _, k := range s.all {
		s.running.Go(k.run)
	}
}

// lastErrors is Last. The caller holds mu.
func (s *Supervisor) lastErrors() error {
	var errs []error
	for _, k := range s.all {
		if k.last != nil && !succeeded(k.last) {
			errs = append(errs, k.last)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func succeeded(err error) bool {
	e, ok := errors.AsType[*WorkerError](err)
	return ok && e.PID != 0 && e.ExitKnown && e.ExitCode == 0
}

// want has the keeper start a worker if it waits. The caller holds mu of the Supervisor.
func (k *keeper) want() {
	select {
	case k.wanted <- struct{}{}:
	default:
	}
}

// satisfied forgets that a worker was wanted: all that wait get an answer now. The caller holds
// mu of the Supervisor.
func (k *keeper) satisfied() {
	select {
	case <-k.wanted:
	default:
	}
}

// set changes fields of the keeper, and wakes who waits for that.
func (k *keeper) set(f func()) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	f()
	close(k.s.changed)
	k.s.changed = make(chan struct{})
}

func (k *keeper) notify(e Event, pid int, err error) {
	if k.s.c.Notify != nil {
		k.s.notifying.Lock()
		defer k.s.notifying.Unlock()
		k.s.c.Notify(Notice{e, k.st.opts.Place, pid, err})
	}
}

// run keeps the worker running until the Supervisor is closed.
func (k *keeper) run() {
	for k.s.ctx.Err() == nil {
		again := k.once(k.s.ctx)
		if !again {
			k.set(func() { k.idle = true })
			select {
			case <-k.wanted:
			case <-k.s.ctx.Done():
			}
			k.set(func() { k.idle = false })
		}
	}
}

// once starts a worker, or finds the one that runs, and waits until it ends. again says whether
// another one is to be started although nobody wants it.
func (k *keeper) once(ctx context.Context) (again bool) {
	child, _, err := k.st.Ensure(ctx, k.s.c.Command)
	if err != nil {
		if ctx.Err() != nil {
			return false
		}
		_, counted := errors.AsType[*WorkerError](err) // there is a delay before the next start
		return k.failed(0, err) && counted
	}
	pid := int(child.PID)
	k.set(func() { k.pid = pid })
	k.notify(Started, pid, nil)
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	k.s.running.Go(func() {
		defer cancel()
		k.awaitEnd(alive)
	})
	if err = k.awaitReady(alive, child); err == nil {
		k.set(func() {
			k.ready, k.last = true, nil
			k.satisfied()
		})
		k.notify(Ready, pid, nil)
	} else if alive.Err() == nil && k.st.Alive() {
		// The worker runs, but nobody can tell whether it is ready. Ready is called again if a
		// worker is wanted.
		k.set(func() {
			k.failures, k.last = k.failures+1, err
			k.satisfied()
		})
		select {
		case <-k.wanted:
			return true
		case <-alive.Done():
		}
	}
	<-alive.Done()
	if ctx.Err() != nil {
		return false
	}
	e, err := k.st.Ended(ctx, child)
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		err = fmt.Errorf("worker of %q (process %d) has ended, and another one was started: %w", k.s.name, pid, samepage.ErrPeerDied)
		if e != nil {
			err = e
		}
	}
	return k.failed(pid, err)
}

// failed notes that a worker has ended or could not be started, and says whether another one is to
// be started.
func (k *keeper) failed(pid int, err error) (again bool) {
	k.set(func() {
		if !k.ready {
			k.failures++
			k.satisfied()
		}
		k.ready, k.pid, k.last = false, 0, err
		if e, ok := errors.AsType[*WorkerError](err); ok && e.PID != 0 {
			k.ended = e
		}
	})
	k.notify(Ended, pid, err)
	return k.s.c.Restart == Always || k.s.c.Restart == OnFailure && !succeeded(err)
}

func (k *keeper) awaitReady(ctx context.Context, child layout.Process) error {
	if k.s.c.Ready != nil {
		if err := k.s.c.Ready(ctx, int(child.PID)); err != nil {
			return err
		}
	}
	return k.st.SetReady(ctx, child)
}

// looksPerTrim is how many looks of the death watch are between two looks at the size of a file.
const looksPerTrim = 64

// awaitEnd waits until the worker has ended, or ctx has.
func (k *keeper) awaitEnd(ctx context.Context) {
	looks := 0
	_ = segment.Until(ctx, func() (bool, error) {
		if looks++; looks%looksPerTrim == 0 {
			_ = k.st.Trim(ctx)
		}
		return !k.st.Alive(), nil
	})
}
