package starter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// worker is a worker process. Its arguments after the folder are what it does, one after the other.
func worker(args []string) {
	dir := args[0]
	tellRuns(dir, "")
	for _, do := range args[1:] {
		verb, arg, _ := strings.Cut(do, ":")
		switch verb {
		case "say":
			fmt.Fprintln(os.Stderr, arg)
		case "bytes":
			n, _ := strconv.Atoi(arg)
			fmt.Fprintln(os.Stderr, strings.Repeat("x", n))
		case "await": // a file
			for begun := time.Now(); time.Since(begun) < 2*ipctest.Patience; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(filepath.Join(dir, arg)); err == nil {
					break
				}
			}
		case "child": // and go on
			cmd, err := workerCommand(dir)
			if err != nil || cmd.Start() != nil {
				os.Exit(1)
			}
		case "exit":
			code, _ := strconv.Atoi(arg)
			os.Exit(code)
		}
	}
	time.Sleep(2 * ipctest.Patience)
}

func workerCommand(dir string, do ...string) (*exec.Cmd, error) {
	cmd, err := ipctest.Self()
	if err != nil {
		return nil, err
	}
	ipctest.SetHelper(cmd, "worker", append([]string{dir}, do...)...)
	return cmd, nil
}

// config is for workers that do something.
func config(dir string, do ...string) Config {
	return Config{
		Options: Options{Stop: WithLast, Together: true, Tail: true, Steady: time.Hour},
		Places:  1,
		Command: func() (*exec.Cmd, error) { return workerCommand(dir, do...) },
	}
}

// supervised is a process with a Supervisor. Its arguments are the name, the folder, the number of
// places, Stop and what the workers do.
func supervised(args []string) {
	c := config(args[1], args[4:]...)
	c.Places, _ = strconv.Atoi(args[2])
	stop, _ := strconv.Atoi(args[3])
	c.Stop = Stop(stop)
	s, err := Supervise(args[0], c)
	if err != nil {
		fmt.Println("err", err)
		return
	}
	fmt.Println("ok")
	var line string
	for {
		if _, err := fmt.Scanln(&line); err != nil {
			return
		}
		switch line {
		case "ensure":
			err := s.Ensure(context.Background())
			fmt.Printf("%v %q\n", s.PIDs(), fmt.Sprint(err))
		case "close":
			fmt.Println(s.Close())
		}
	}
}

func startSupervised(t *testing.T, name, dir string, places int, stop Stop, do ...string) *ipctest.Child {
	t.Helper()
	c := ipctest.Start(t, "supervised", append([]string{name, dir, strconv.Itoa(places), strconv.Itoa(int(stop))}, do...)...)
	if l := c.Line(); l != "ok" {
		t.Fatal(l)
	}
	return c
}

func supervise(t *testing.T, name string, c Config) *Supervisor {
	t.Helper()
	ipctest.NeedNames(t)
	s, err := Supervise(name, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// only returns the only worker that runs.
func only(t *testing.T, s *Supervisor, dir string) layout.Process {
	t.Helper()
	var all []layout.Process
	for _, k := range s.all {
		p, running, err := k.st.Running(t.Context())
		if ipctest.NoErr(t, err); running {
			all = append(all, p)
		}
	}
	if len(all) != 1 || !slices.Equal(s.PIDs(), []int{int(all[0].PID)}) {
		t.Fatalf("the workers %v run, %v, want one", all, s.PIDs())
	}
	told(t, dir, all[0])
	return all[0]
}

// ensured waits for a worker, and returns the only one that runs.
func ensured(t *testing.T, s *Supervisor, dir string) layout.Process {
	t.Helper()
	ipctest.NoErr(t, s.Ensure(patience(t)))
	return only(t, s, dir)
}

func workerError(t *testing.T, err error) *WorkerError {
	t.Helper()
	e, ok := errors.AsType[*WorkerError](err)
	if !ok {
		t.Fatalf("%v is no WorkerError", err)
	}
	return e
}

// alive says whether a process runs.
func alive(t *testing.T, p layout.Process) bool {
	t.Helper()
	r, err := process.Hold(p)
	if errors.Is(err, samepage.ErrPeerNotStarted) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ended, err := r.Ended()
	if err != nil {
		t.Fatal(err)
	}
	return !ended
}

// awaitChildren waits until n processes have written that they run, and returns them.
func awaitChildren(t *testing.T, dir string, n int) []layout.Process {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if all := children(t, dir); len(all) >= n {
			return all
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("%d processes were started, want %d", len(children(t, dir)), n)
		}
	}
}

// Eight processes want two workers at the same time: there are two. One is killed, and there are
// two again. The processes are killed, all but one: the workers go on. It closes: they end.
func TestMission003_09_WorkersOfManyProcesses(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	const clients = 8
	var all []*ipctest.Child
	for range clients {
		all = append(all, startSupervised(t, "many", dir, 2, WithLast))
	}
	for _, c := range all {
		c.Send("ensure")
	}
	for _, c := range all {
		if l := c.Line(); !strings.HasSuffix(l, `"<nil>"`) {
			t.Error(l)
		}
	}
	first := awaitChildren(t, dir, 2)
	if len(first) != 2 {
		t.Fatalf("%d workers were started, want 2", len(first))
	}
	kill(t, first[0])
	three := awaitChildren(t, dir, 3)
	for _, c := range all[1:] {
		c.Kill()
	}
	if l := all[0].Ask("ensure"); !strings.HasSuffix(l, `"<nil>"`) {
		t.Error(l)
	}
	if len(children(t, dir)) != 3 || len(three) != 3 {
		t.Errorf("%d workers were started, want 3", len(children(t, dir)))
	}
	for _, p := range three {
		if alive(t, p) == (p == first[0]) {
			t.Errorf("worker %d runs: %v", p.PID, alive(t, p))
		}
	}
	all[0].Want("<nil>", "close")
	for _, p := range three {
		awaitEnd(t, p)
	}
}

// A worker ends before it is ready: those who wait get the exit code and the last lines, in the
// process that has started it and in others.
func TestMission000_27_WhyNoWorker(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	for _, stop := range []Stop{Stay, WithLast, WithStarter} {
		name := fmt.Sprint("bad", stop)
		c := config(dir, "say:first line", "say:last line \u00e4", "exit:3")
		c.Stop, c.MinDelay, c.MaxDelay = stop, time.Hour, time.Hour
		c.Ready = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		s, other := supervise(t, name, c), supervise(t, name, c)
		check := func(err error) {
			t.Helper()
			ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, "exit status 3", "before it was ready", "last line \u00e4", strconv.Itoa(os.Getpid()))
			e := workerError(t, err)
			if e.ExitCode != 3 || !e.ExitKnown || e.Signal != "" || e.Stderr != "first line\nlast line \u00e4\n" || e.Failures != 1 || e.Next.Sub(e.Ended) != time.Hour {
				t.Errorf("%+v", e)
			}
		}
		check(s.Ensure(patience(t)))
		// During the delay the other one starts no worker, and says why there is none.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := other.Ensure(ctx)
		cancel()
		ipctest.WantErr(t, err, context.DeadlineExceeded)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		check(err)
	}
}

// A worker that was ready is killed. Its end is told, and another one is started.
func TestMission003_09_ReadyWorkerKilled(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := supervise(t, "killed", config(dir, "say:hello"))
	p := ensured(t, s, dir)
	kill(t, p)
	e, err := s.End(patience(t), int(p.PID))
	ipctest.NoErr(t, err)
	ipctest.WantErr(t, e, samepage.ErrPeerDied, "hello")
	if errors.Is(e, samepage.ErrPeerNotStarted) || !e.ExitKnown || e.Stderr != "hello\n" || e.StartedBy != os.Getpid() {
		t.Errorf("%+v", e)
	}
	if runtime.GOOS == "linux" && e.Signal != "killed" {
		t.Errorf("the signal is %q", e.Signal)
	}
	if q := ensured(t, s, dir); q == p {
		t.Error("a dead worker runs")
	}
	if e, err := s.End(patience(t), 1<<30); e != nil || err != nil {
		t.Errorf("of a process that is no worker: %v, %v", e, err)
	}
}

// The process that has started a worker is killed. The worker goes on, also if it writes to
// standard error. When it ends, others say who has started it, and have its last lines.
func TestMission003_09_StarterKilled(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := startSupervised(t, "orphan", dir, 1, WithLast, "await:go", "say:still here", "await:end", "exit:5")
	if l := c.Ask("ensure"); !strings.HasSuffix(l, `"<nil>"`) {
		t.Fatal(l)
	}
	s := supervise(t, "orphan", config(dir))
	p := ensured(t, s, dir)
	c.Kill()
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "end"), nil, 0o600))
	e, err := s.End(patience(t), int(p.PID))
	ipctest.NoErr(t, err)
	if e.Stderr != "still here\n" || e.StartedBy != c.PID() {
		t.Errorf("%+v", e)
	}
	if windows := runtime.GOOS == "windows"; e.ExitKnown != windows || windows && e.ExitCode != 5 {
		t.Errorf("%+v", e)
	}
	ipctest.WantErr(t, e, samepage.ErrPeerDied, fmt.Sprintf("process %d", c.PID()))
}

// A worker that ends with its starter ends also if the starter is killed.
func TestWorkerEndsWithStarter(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	for _, end := range []func(c *ipctest.Child){(*ipctest.Child).Kill, func(c *ipctest.Child) { c.Want("<nil>", "close") }} {
		n := len(children(t, dir))
		c := startSupervised(t, "with", dir, 1, WithStarter)
		if l := c.Ask("ensure"); !strings.HasSuffix(l, `"<nil>"`) {
			t.Fatal(l)
		}
		all := awaitChildren(t, dir, n+1)
		end(c)
		for _, p := range all {
			awaitEnd(t, p)
		}
	}
}

// The only process with a Supervisor is killed. Windows ends the worker. On Linux the next process
// finds it, and ends it.
func TestLastOneKilled(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := startSupervised(t, "last", dir, 1, WithLast)
	if l := c.Ask("ensure"); !strings.HasSuffix(l, `"<nil>"`) {
		t.Fatal(l)
	}
	p := awaitChildren(t, dir, 1)[0]
	c.Kill()
	if runtime.GOOS == "windows" {
		awaitEnd(t, p)
	}
	s, err := Supervise("last", config(dir))
	ipctest.NoErr(t, err)
	if runtime.GOOS == "linux" {
		if q := ensured(t, s, dir); q != p {
			t.Errorf("worker %v was started beside %v", q, p)
		}
	}
	ipctest.NoErr(t, s.Close()) // this also removes what the killed process left
	awaitEnd(t, p)
	if _, err := samepage.Stat(prefix+"last", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record is left: %v", err)
	}
}

// A worker that stays is found by who comes later, also if nobody had a Supervisor meanwhile.
func TestWorkerStays(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := config(dir)
	c.Stop = Stay
	var first layout.Process
	for range 3 {
		s, err := Supervise("stays", c)
		ipctest.NoErr(t, err)
		p := ensured(t, s, dir)
		ipctest.NoErr(t, s.Close())
		if first == (layout.Process{}) {
			first = p
		}
		if p != first || !alive(t, p) {
			t.Fatalf("worker %v was started beside %v", p, first)
		}
	}
	kill(t, first)
	c.Stop = WithLast
	s := supervise(t, "stays", c)
	if p := ensured(t, s, dir); p == first {
		t.Error("a dead worker runs")
	}
}

// Of two Supervisors the one that has started the worker closes. The worker goes on, the other
// one learns of its end, and the worker's group ends with it. Nobody waits for an exit status
// that nobody will tell.
func TestStarterCloses(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	a, err := Supervise("closes", config(dir, "child"))
	ipctest.NoErr(t, err)
	p := ensured(t, a, dir)
	both := awaitChildren(t, dir, 2)
	c := config(dir)
	c.Restart = OnDemand
	b := supervise(t, "closes", c)
	if q := ensured(t, b, dir); q != p {
		t.Fatalf("worker %v was started beside %v", q, p)
	}
	ipctest.NoErr(t, a.Close())
	if !alive(t, p) {
		t.Fatal("the worker has ended with the first of two")
	}
	if r, err := b.all[0].st.read(); err != nil || r.Reports || r.child() != p {
		t.Errorf("the record names %v, reports: %v, %v", r.child(), r.Reports, err)
	}
	kill(t, p)
	e, err := b.End(patience(t), int(p.PID))
	ipctest.NoErr(t, err)
	ipctest.WantErr(t, e, samepage.ErrPeerDied)
	for _, q := range both {
		awaitEnd(t, q)
	}
}

// The process that has started a worker waits for it also without a Supervisor: it leaves no
// zombie, and ends the group.
func TestWorkerEndsAfterClose(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := config(dir, "child")
	c.Stop = Stay
	s, err := Supervise("after", c)
	ipctest.NoErr(t, err)
	p := ensured(t, s, dir)
	both := awaitChildren(t, dir, 2)
	ipctest.NoErr(t, s.Close())
	kill(t, p)
	for _, q := range both {
		awaitEnd(t, q)
	}
	s.all[0].st.children.Wait()
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID)); runtime.GOOS == "linux" && err == nil {
		t.Error("the worker is a zombie")
	}
	last := supervise(t, "after", config(dir))
	if e := last.all[0].st.Last(); e != nil {
		t.Errorf("the end was recorded, although nobody looked: %v", e)
	}
}

// A worker's process group ends with it: also if the process that has started it has ended.
func TestGroupEndsTogether(t *testing.T) {
	ipctest.Store(t)
	for _, orphan := range []bool{false, true} {
		t.Run(fmt.Sprint(orphan), func(t *testing.T) { groupEnds(t, orphan) })
	}
}

func groupEnds(t *testing.T, orphan bool) {
	dir := folder(t)
	s := supervise(t, "group", config(dir, "child"))
	if orphan {
		c := startSupervised(t, "group", dir, 1, WithLast, "child")
		if l := c.Ask("ensure"); !strings.HasSuffix(l, `"<nil>"`) {
			t.Fatal(l)
		}
		ensured(t, s, dir)
		c.Kill()
	}
	p := ensured(t, s, dir)
	both := awaitChildren(t, dir, 2)
	if !slices.Contains(both, p) {
		t.Fatalf("worker %v is none of %v", p, both)
	}
	kill(t, p)
	for _, q := range both {
		awaitEnd(t, q)
	}
}

// A worker is ready when the caller's function says so, and not earlier.
func TestReady(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := config(dir)
	asked, answer := make(chan int), make(chan error)
	unknown := errors.New("not known")
	c.Ready = func(ctx context.Context, pid int) error {
		asked <- pid
		return <-answer
	}
	s := supervise(t, "ready", c)
	done := make(chan error)
	go func() { done <- s.Ensure(patience(t)) }()
	pid := <-asked
	select {
	case err := <-done:
		t.Fatalf("Ensure returned before the worker was ready: %v", err)
	case answer <- unknown:
	}
	ipctest.WantErr(t, <-done, unknown)
	go func() { done <- s.Ensure(patience(t)) }()
	if again := <-asked; again != pid {
		t.Errorf("another worker was started, %d", again)
	}
	r, err := s.all[0].st.read()
	if err != nil || r.ReadyAt != 0 {
		t.Errorf("the record says ready at %d, %v", r.ReadyAt, err)
	}
	answer <- nil
	ipctest.NoErr(t, <-done)
	if r, err = s.all[0].st.read(); err != nil || r.ReadyAt == 0 || int(r.ChildPID) != pid {
		t.Errorf("the record says that %v is ready at %d, %v", r.child(), r.ReadyAt, err)
	}
}

// Which workers are started again by themselves.
func TestRestart(t *testing.T) {
	ipctest.Store(t)
	for _, c := range []restartCase{
		{Always, 0, true},
		{Always, 1, true},
		{OnFailure, 0, false},
		{OnFailure, 1, true},
		{OnDemand, 0, false},
		{OnDemand, 1, false},
	} {
		t.Run(fmt.Sprint(c.restart, c.code), c.run)
	}
}

type restartCase struct {
	restart Restart
	code    int
	want    bool
}

func (c restartCase) run(t *testing.T) {
	dir := folder(t)
	var mu sync.Mutex
	var notices []string
	ready := make(chan struct{}, 1000)
	x := config(dir, "await:end", fmt.Sprint("exit:", c.code))
	x.Restart = c.restart
	x.Notify = func(n Notice) {
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, map[Event]string{Started: "started", Ready: "ready", Ended: "ended"}[n.Event])
		if n.Event == Ready {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	}
	s := supervise(t, "restart", x)
	ipctest.NoErr(t, s.Ensure(patience(t)))
	<-ready
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "end"), nil, 0o600))
	if c.want {
		select {
		case <-ready:
		case <-time.After(ipctest.Patience):
			t.Error("no other worker was started")
		}
		return
	}
	err := s.Wait(patience(t))
	if (err == nil) != (c.code == 0) {
		t.Error(err)
	}
	mu.Lock()
	if got := strings.Join(notices, " "); got != "started ready ended" {
		t.Errorf("the notices are %s", got)
	}
	mu.Unlock()
	// The next Ensure starts another one.
	ipctest.NoErr(t, os.Remove(filepath.Join(dir, "end")))
	ipctest.NoErr(t, s.Ensure(patience(t)))
}
