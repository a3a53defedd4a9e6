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

// grace is how long a process may take to end after it is asked to. It is longer than a busy
// machine keeps a process from running, since the reports of a killed process are lost.
var grace = 30 * time.Second

// maxEarlyDeaths is how many workers, or viewers, in a row may die before they are ready.
const maxEarlyDeaths = 3

// Watcher is told what happens. All its calls come from one goroutine.
type Watcher interface {
	Started(base, worker, viewer Ready)               // all are ready for the first time
	Restarted(role string, died, pid int, why string) // pid is the successor's
	Progress(Progress)
	Skipped(Bad)
	Failed(Bad)
	LeftOut(Bad)
}

// Start makes the command that runs a role; see RunRole.
type Start func(role string) *exec.Cmd

// Run runs the demo. It returns when all processes have ended. When ctx ends, Run ends them
// and returns the error of ctx.
func Run(ctx context.Context, o Options, start Start, w Watcher) (Summary, error) {
	s := &supervisor{
		orders: orders{fmt.Sprintf("demo-%d-%04x", os.Getpid(), rand.N(1<<16)), o},
		start:  start, watch: w, happenings: make(chan happening),
		worker: post{role: RoleWorker}, viewer: post{role: RoleViewer},
	}
	err := s.run(ctx)
	s.sweep()
	return s.summary, err
}

// supervisor starts the three processes and ends them. It is not an rpc.Supervisor. That one
// keeps the workers of a service running, which need no orders and end when they are killed. Here
// the base, of which there is only one, and the viewer are no workers of a service. Each process
// gets its orders at its standard input, and reports at its standard output. It ends when its
// input ends, so that it reports its last figures, also on Windows. With an rpc.Supervisor for
// the worker, these processes would have two ways to start, to report and to end.
type supervisor struct {
	orders     orders
	start      Start
	watch      Watcher
	happenings chan happening

	base           *process // nil: it does not run
	baseReady      Ready
	worker, viewer post
	started        bool
	ending         bool
	kill           <-chan time.Time // when to kill those that have not ended
	summed         bool
	summary        Summary
	err            error // the first error
}

// post is the place of a process that is replaced if it dies.
type post struct {
	role        string
	now         *process // nil: none runs
	ready       Ready    // of the first process
	died        *process // the one whose successor is not ready yet
	earlyDeaths int
	restarts    int
	viewed      Viewed // by the processes that died, and by the one that runs
	before      Viewed // by the processes that died
}

// process is a process that was started.
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
	for s.base != nil || s.worker.now != nil || s.viewer.now != nil {
		select {
		case h := <-s.happenings:
			s.handle(h)
		case <-interrupted:
			interrupted = nil
			s.end(ctx.Err())
		case <-s.kill:
			for _, p := range []*process{s.base, s.worker.now, s.viewer.now} {
				if p != nil {
					_ = p.cmd.Process.Kill()
				}
			}
		}
	}
	if s.err == nil {
		s.err = s.summary.err()
	}
	s.summary.WorkerRestarts, s.summary.ViewerRestarts, s.summary.Viewer = s.worker.restarts, s.viewer.restarts, s.viewer.viewed
	return s.err
}

// launch starts a process, and passes its messages to s.
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
	// A process that dies at once does not read its orders. Its end is reported.
	_ = json.NewEncoder(p.stdin).Encode(s.orders)
	return p, nil
}

// end asks the processes to end, unless they have been asked already.
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
		// The base reports its summary and ends. Then the others are asked to end.
		_ = s.base.stdin.Close()
		return
	}
	for _, p := range []*post{&s.worker, &s.viewer} {
		if p.now != nil {
			_ = p.now.stdin.Close()
		}
	}
}

func (s *supervisor) handle(h happening) {
	if h.p == s.base {
		if h.ended {
			s.baseEnded(h.p)
		} else {
			s.baseSays(h.m)
		}
		return
	}
	for _, p := range []*post{&s.worker, &s.viewer} {
		switch {
		case h.p == p.now && h.ended:
			s.ended(p)
		case h.p == p.now:
			s.says(p, h.m)
		}
	}
}

func (s *supervisor) baseSays(m message) {
	switch {
	case m.Ready != nil:
		s.baseReady = *m.Ready
		// The worker starts when the viewer sees all frames: there are none before the
		// worker is there.
		s.fill(&s.viewer)
	case m.Progress != nil:
		m.Progress.ViewerMissed = s.viewer.viewed.Missed
		s.watch.Progress(*m.Progress)
	case m.Skipped != nil:
		s.watch.Skipped(*m.Skipped)
	case m.Failed != nil:
		s.watch.Failed(*m.Failed)
	case m.LeftOut != nil:
		s.watch.LeftOut(*m.LeftOut)
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
	s.ending = false // the others are asked next
	s.end(nil)
}

// fill starts a process for a post.
func (s *supervisor) fill(p *post) {
	if s.ending {
		return
	}
	var err error
	if p.now, err = s.launch(p.role); err != nil {
		p.now = nil
		s.end(err)
	}
}

func (s *supervisor) says(p *post, m message) {
	switch {
	case m.Ready != nil:
		s.up(p, *m.Ready)
	case m.Viewed != nil:
		p.viewed = *m.Viewed
		p.viewed.Frames += p.before.Frames
		p.viewed.Missed += p.before.Missed
	case m.Error != nil && !s.summed: // a successor may start when all is done, and find no base
		s.end(m.Error)
	}
}

func (s *supervisor) up(p *post, r Ready) {
	p.now.ready = true
	p.earlyDeaths = 0
	if p == &s.viewer && s.worker.now == nil && !s.started {
		s.fill(&s.worker)
	}
	if s.started {
		s.watch.Restarted(p.role, p.died.cmd.Process.Pid, r.PID, exitReason(p.died.err).Error())
		return
	}
	p.ready = r
	if s.started = s.viewer.now != nil && s.viewer.now.ready && s.worker.now != nil && s.worker.now.ready; s.started {
		s.watch.Started(s.baseReady, s.worker.ready, s.viewer.ready)
	}
}

// ended starts a successor, unless the demo is about to end.
func (s *supervisor) ended(p *post) {
	died := p.now
	p.now = nil
	p.before = p.viewed
	_ = died.stdin.Close()
	if s.ending {
		return
	}
	if !died.ready {
		p.earlyDeaths++
	}
	if p.earlyDeaths >= maxEarlyDeaths {
		s.end(fmt.Errorf("%d %s processes in a row ended before they were ready, the last one with: %w", p.earlyDeaths, p.role, exitReason(died.err)))
		return
	}
	p.restarts++
	p.died = died
	s.fill(p)
}

func exitReason(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// sweep removes what killed processes could not remove.
func (s *supervisor) sweep() {
	_ = samepage.Remove(framesName(s.orders.Name), &samepage.Options{Kind: samepage.KindTopic})
	_ = samepage.Remove(workerName(s.orders.Name), &samepage.Options{Kind: samepage.KindService})
}
