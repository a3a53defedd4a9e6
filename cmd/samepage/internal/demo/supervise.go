package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"samepage"
)

const (
	// grace is how long a process may take to end when it is asked to.
	grace = 5 * time.Second
	// maxEarlyDeaths is how many workers in a row may die before they are up.
	maxEarlyDeaths = 3
)

// Watcher is told what happens, from one goroutine.
type Watcher interface {
	Started(base, worker Ready)             // both are up for the first time
	Restarted(died, worker int, why string) // the pids of the dead worker and of the new one
	Progress(Progress)
	Skipped(Bad)
	Failed(Bad)
}

// Start makes the command that runs a role; see RunRole.
type Start func(role string) *exec.Cmd

// Run is the demo. It returns when both processes have ended. When ctx ends it
// ends them, and the error is that of ctx.
func Run(ctx context.Context, o Options, start Start, w Watcher) (Summary, error) {
	s := &supervisor{
		orders: orders{fmt.Sprintf("demo-%d-%04x", os.Getpid(), rand.N(1<<16)), o},
		start:  start, watch: w, happenings: make(chan happening),
	}
	err := s.run(ctx)
	s.sweep()
	return s.summary, err
}

type supervisor struct {
	orders     orders
	start      Start
	watch      Watcher
	happenings chan happening

	base, worker *process // nil: does not run
	baseReady    Ready
	restartOf    *process // the dead worker whose successor is not up yet
	earlyDeaths  int
	ending       bool
	kill         <-chan time.Time // when to kill who has not ended
	summed       bool
	summary      Summary
	restarts     int
	err          error // the first
}

// process is one that was started.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ready bool
	err   error // how it ended
}

// happening is a message of a process, or its end.
type happening struct {
	p     *process
	m     message
	ended bool
}

func (s *supervisor) run(ctx context.Context) error {
	if s.base, s.err = s.launch(RoleBase); s.err != nil {
		return s.err
	}
	interrupted := ctx.Done()
	for s.base != nil || s.worker != nil {
		select {
		case h := <-s.happenings:
			s.handle(h)
		case <-interrupted:
			interrupted = nil
			s.end(ctx.Err())
		case <-s.kill:
			for _, p := range []*process{s.base, s.worker} {
				if p != nil {
					_ = p.cmd.Process.Kill()
				}
			}
		}
	}
	if s.err == nil {
		s.err = s.summary.err()
	}
	s.summary.WorkerRestarts = s.restarts
	return s.err
}

// launch starts a process and has its messages sent to s.
func (s *supervisor) launch(role string) (*process, error) {
	p := &process{cmd: s.start(role)}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the %s process: %w", role, err)
	}
	go func() {
		in := json.NewDecoder(out)
		for {
			var m message
			if in.Decode(&m) != nil {
				break
			}
			s.happenings <- happening{p: p, m: m}
		}
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
		s.happenings <- happening{p: p, ended: true}
	}()
	// A process that dies at once does not read its orders; its end tells so.
	_ = json.NewEncoder(p.stdin).Encode(s.orders)
	return p, nil
}

// end asks the processes to end, if nobody has before.
func (s *supervisor) end(err error) {
	if s.err == nil {
		s.err = err
	}
	if s.ending {
		return
	}
	s.ending = true
	s.kill = time.After(grace)
	if s.base != nil {
		// It tells its summary and ends; then the worker is asked.
		_ = s.base.stdin.Close()
	} else if s.worker != nil {
		_ = s.worker.stdin.Close()
	}
}

func (s *supervisor) handle(h happening) {
	switch {
	case h.p == s.base && h.ended:
		s.baseEnded(h.p)
	case h.p == s.base:
		s.baseSays(h.m)
	case h.p == s.worker && h.ended:
		s.workerEnded(h.p)
	case h.p == s.worker:
		s.workerSays(h.p, h.m)
	}
}

func (s *supervisor) baseSays(m message) {
	switch {
	case m.Ready != nil:
		s.baseReady = *m.Ready
		s.startWorker()
	case m.Progress != nil:
		s.watch.Progress(*m.Progress)
	case m.Skipped != nil:
		s.watch.Skipped(*m.Skipped)
	case m.Failed != nil:
		s.watch.Failed(*m.Failed)
	case m.Summary != nil:
		s.summary, s.summed = *m.Summary, true
		s.end(nil)
	case m.Error != nil:
		s.end(m.Error)
	}
}

func (s *supervisor) baseEnded(p *process) {
	s.base = nil
	_ = p.stdin.Close()
	if !s.summed && s.err == nil {
		s.err = fmt.Errorf("the base process %d has ended: %w", p.cmd.Process.Pid, exitReason(p.err))
	}
	s.ending = false // of the worker, now
	s.end(nil)
}

func (s *supervisor) startWorker() {
	if s.ending {
		return
	}
	var err error
	if s.worker, err = s.launch(RoleWorker); err != nil {
		s.worker = nil
		s.end(err)
	}
}

func (s *supervisor) workerSays(p *process, m message) {
	switch {
	case m.Ready != nil:
		p.ready = true
		s.earlyDeaths = 0
		if s.restartOf == nil {
			s.watch.Started(s.baseReady, *m.Ready)
		} else {
			s.watch.Restarted(s.restartOf.cmd.Process.Pid, m.Ready.PID, exitReason(s.restartOf.err).Error())
		}
	case m.Error != nil:
		s.end(m.Error)
	}
}

// workerEnded starts a successor, unless the end is near anyway.
func (s *supervisor) workerEnded(p *process) {
	s.worker = nil
	_ = p.stdin.Close()
	if s.ending {
		return
	}
	if !p.ready {
		s.earlyDeaths++
	}
	if s.earlyDeaths >= maxEarlyDeaths {
		s.end(fmt.Errorf("%d worker processes in a row have ended at their start, the last: %w", s.earlyDeaths, exitReason(p.err)))
		return
	}
	s.restarts++
	s.restartOf = p
	s.startWorker()
}

func exitReason(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// sweep takes away what processes that were killed could not.
func (s *supervisor) sweep() {
	name := s.orders.Name
	_ = samepage.Remove(name, nil)
	for _, n := range []string{requestName(name), doneName(name)} {
		_ = samepage.Remove(n, &samepage.Options{Kind: samepage.KindEvent})
	}
}
