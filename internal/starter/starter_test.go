package starter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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

// helpers are what children of the tests do.
var helpers = map[string]func([]string){
	"child": child, "producer": producer, "worker": worker, "supervised": supervised, "tell": tell,
}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }

// child writes to a file of the folder that it was started. It runs until it is killed, or ends
// with an exit code.
func child(args []string) {
	wd, _ := os.Getwd()
	tellRuns(args[0], fmt.Sprintln(os.Getenv("STARTER_TEST"))+fmt.Sprintln(wd)+fmt.Sprintln(process.StartedHidden())+fmt.Sprintln(standardFiles()))
	if len(args) > 1 {
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	}
	time.Sleep(2 * ipctest.Patience)
}

// tellRuns writes to the file of this process that it runs, or ends the process.
func tellRuns(dir, text string) {
	path := fileOf(dir, process.Self())
	if os.WriteFile(path+".new", []byte(text), 0o600) != nil || os.Rename(path+".new", path) != nil {
		os.Exit(1)
	}
}

// fileOf is the file of a process in a folder. The name has the id and the start time: Windows likes
// to use ids again, and then the file of an ended process would be taken for that of a new one.
func fileOf(dir string, p layout.Process) string {
	return filepath.Join(dir, fmt.Sprintf("%d-%d.txt", p.PID, p.Start))
}

// standardFiles counts the standard files that are not the null device.
func standardFiles() (n int) {
	null, _ := os.Stat(os.DevNull)
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		st, err := f.Stat()
		if err == nil && !os.SameFile(st, null) && st.Mode()&os.ModeCharDevice == 0 {
			n++
		}
	}
	return n
}

// producer ensures the child when it gets a command.
func producer(args []string) {
	s, err := Open(args[0], nil)
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
		p, started, err := s.Ensure(context.Background(), func() (*exec.Cmd, error) { return childCommand(args[1]) })
		fmt.Println(p.PID, p.Start, started, err)
	}
}

func childCommand(dir string, args ...string) (*exec.Cmd, error) {
	cmd, err := ipctest.Self()
	if err != nil {
		return nil, err
	}
	ipctest.SetHelper(cmd, "child", append([]string{dir}, args...)...)
	return cmd, nil
}

// children are the processes of the child helpers of a folder. The test ends those that still run.
func children(t *testing.T, dir string) (all []layout.Process) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		var p layout.Process
		if _, err := fmt.Sscanf(filepath.Base(f), "%d-%d.txt", &p.PID, &p.Start); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// folder is a folder for the files of children, and for temporary files. The children are killed at
// the end of the test. No file with standard error may be left then.
func folder(t *testing.T) string {
	t.Helper()
	dir := ipctest.Dir(t)
	t.Setenv(map[bool]string{true: "TMP", false: "TMPDIR"}[runtime.GOOS == "windows"], dir)
	t.Cleanup(func() {
		for _, p := range children(t, dir) {
			kill(t, p)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "samepage-stderr-*")); len(left) > 0 || err != nil {
			t.Errorf("the files %v are left, %v", left, err)
		}
	})
	return dir
}

// kill ends a process and returns when it has ended. It does not touch another process that has got
// the same id meanwhile.
func kill(t *testing.T, p layout.Process) {
	t.Helper()
	proc, err := os.FindProcess(int(p.PID)) // first: this one is held from here on
	if err != nil {
		return
	}
	defer func() { _ = proc.Release() }()
	if now, err := process.Find(int(p.PID)); err != nil || now != p {
		return
	}
	_ = proc.Kill()
	awaitEnd(t, p)
}

func awaitEnd(t *testing.T, p layout.Process) {
	t.Helper()
	r, err := process.Hold(p)
	if errors.Is(err, samepage.ErrPeerNotStarted) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		ended, err := r.Ended()
		if err != nil || time.Since(begun) > ipctest.Patience {
			t.Fatalf("process %d does not end: %v", p.PID, err)
		}
		if ended {
			return
		}
	}
}

// told waits for what a child writes, and returns it.
func told(t *testing.T, dir string, p layout.Process) []string {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(fileOf(dir, p))
		if err == nil {
			return strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("child %v says nothing: %v", p, err)
		}
	}
}

func openStarter(t *testing.T, name string) *Starter {
	t.Helper()
	ipctest.NeedNames(t)
	s, err := Open(name, nil)
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

func ensure(t *testing.T, s *Starter, command func() (*exec.Cmd, error), want bool) layout.Process {
	t.Helper()
	p, started, err := s.Ensure(t.Context(), command)
	if err != nil || started != want || p.PID == 0 {
		t.Fatalf("ensured is process %v, started %v, %v, want %v", p, started, err, want)
	}
	return p
}

// A child that has ended with exit code 259 has ended, although GetExitCodeProcess cannot tell it
// from a running one. Before the first child there is none.
func TestMission003_08_IsItRunning(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := openStarter(t, "child")
	if p, running, err := s.Running(t.Context()); running || err != nil {
		t.Errorf("before the first start, %v runs: %v, %v", p, running, err)
	}
	seen := map[layout.Process]bool{}
	for range 3 {
		p := ensure(t, s, func() (*exec.Cmd, error) { return childCommand(dir, "259") }, true)
		if seen[p] {
			t.Errorf("process %v was started twice", p)
		}
		seen[p] = true
		told(t, dir, p)
		awaitEnd(t, p)
		if q, running, err := s.Running(t.Context()); running || err != nil {
			t.Errorf("after its end with 259, %v runs: %v, %v", q, running, err)
		}
	}
	p := ensure(t, s, func() (*exec.Cmd, error) { return childCommand(dir) }, true)
	if q, running, err := s.Running(t.Context()); !running || err != nil || p != q {
		t.Errorf("%v runs, not %v: %v, %v", q, p, running, err)
	}
}

// The id of a child that has ended means nothing: another process may have it.
func TestMission003_08_ReusedID(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := openStarter(t, "child")
	self := process.Self()
	self.Start++ // a process of the same id that has ended long ago
	if err := s.write(&record{State: stateRuns, ChildPID: self.PID, ChildStart: self.Start}); err != nil {
		t.Fatal(err)
	}
	p := ensure(t, s, func() (*exec.Cmd, error) { return childCommand(dir) }, true)
	told(t, dir, p)
	if p.PID == self.PID {
		t.Error("this process was taken for the child")
	}
}

func TestMission003_09_OneChild(t *testing.T) {
	ipctest.Store(t)
	const producers, rounds = 3, 5
	dir := folder(t)
	var all []*ipctest.Child
	for range producers {
		c := ipctest.Start(t, "producer", "child", dir)
		if l := c.Line(); l != "ok" {
			t.Fatal(l)
		}
		all = append(all, c)
	}
	for range rounds {
		for _, c := range all { // all at once
			c.Send("go")
		}
		seen, started := map[layout.Process]bool{}, 0
		for _, c := range all {
			var p layout.Process
			var by bool
			if l := c.Line(); l != "" {
				if _, err := fmt.Sscan(l, &p.PID, &p.Start, &by); err != nil {
					t.Fatalf("%s: %v", l, err)
				}
			}
			seen[p] = true
			if by {
				started++
			}
		}
		if len(seen) != 1 || started != 1 {
			t.Fatalf("of %d producers %d have started a child; children %v", producers, started, seen)
		}
		for p := range seen {
			told(t, dir, p)
			kill(t, p) // and the next round starts another one
		}
	}
}

// A child is killed: its parent notices the end at once, as others do. A parent is killed: its
// child goes on.
func TestMission003_09_RespawnAfterKill(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := openStarter(t, "child")
	command := func() (*exec.Cmd, error) { return childCommand(dir) }
	for range 5 {
		p := ensure(t, s, command, true)
		told(t, dir, p)
		ensure(t, s, command, false)
		kill(t, p)
		if q, running, err := s.Running(t.Context()); running || err != nil {
			t.Errorf("%v was killed and runs: %v", q, err)
		}
	}

	c := ipctest.Start(t, "producer", "child", dir)
	if l := c.Line(); l != "ok" {
		t.Fatal(l)
	}
	var its layout.Process
	if _, err := fmt.Sscan(c.Ask("go"), &its.PID, &its.Start); err != nil {
		t.Fatal(err)
	}
	told(t, dir, its)
	c.Kill()
	if p := ensure(t, s, command, false); p != its {
		t.Errorf("the child of the dead producer is %v, found is %v", its, p)
	}
}

// A child that was started without a Supervisor goes on when all have closed, and is found by the
// next. When it has ended, the last one that closes leaves nothing.
func TestChildIsFoundLater(t *testing.T) {
	ipctest.Store(t)
	ipctest.NeedNames(t)
	dir := folder(t)
	command := func() (*exec.Cmd, error) { return childCommand(dir) }
	var p layout.Process
	for i := range 3 {
		s, err := Open("later", nil)
		ipctest.NoErr(t, err)
		q := ensure(t, s, command, i == 0)
		if i == 0 {
			p = q
			told(t, dir, p)
		}
		if q != p {
			t.Errorf("child %v was started beside %v", q, p)
		}
		if i == 2 {
			kill(t, p)
		}
		ipctest.NoErr(t, s.Close())
	}
	if _, err := samepage.Stat(prefix+"later", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record is left: %v", err)
	}
}

// A producer dies while it holds the lock. It blocks nobody, and its half-written record names no
// process.
func TestRecordInPart(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := openStarter(t, "child")
	self := process.Self()
	b := appendRecord(nil, &record{State: stateRuns, ChildPID: self.PID, ChildStart: self.Start})
	if parseRecord(b).child() != self {
		t.Error("a whole record is not read")
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 0x10
		if r := parseRecord(c); r.State != stateEmpty {
			t.Errorf("with byte %d changed it is %v", i, r)
		}
	}
	b[40] ^= 1
	if _, err := s.mem.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	p := ensure(t, s, func() (*exec.Cmd, error) { return childCommand(dir, "0") }, true)
	told(t, dir, p) // the folder goes when nobody writes to it any more
}

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, &record{State: stateRuns, ChildPID: 1, ChildStart: 2, SignalSize: 1 << 31, TailSize: 1 << 31}))
	f.Add(make([]byte, recordSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := len(appendRecord(nil, &record{}))
		for _, b := range [][]byte{b, sealed(b, n)} {
			r := parseRecord(b)
			if len(r.tail()) > tailSize || len(r.exit().Signal) > len(r.Signal) {
				t.Errorf("%x is read as %v", b, r)
			}
			if r.State != stateEmpty && len(appendRecord(nil, r)) != n {
				t.Errorf("%x is read as %v", b, r)
			}
		}
	})
}

// sealed gives b the size n, and the magic number, the version and the checksum of a record.
func sealed(b []byte, n int) []byte {
	c := make([]byte, n)
	copy(c, b)
	copy(c, appendRecord(nil, &record{})[:12])
	return binary.LittleEndian.AppendUint32(c[:n-4], crc32.Checksum(c[:n-4], castagnoli))
}

// given are the files that this process has from its own parent, for instance the lock of
// a flock(1) around it. They go on to every child, on Linux.
var given = ipctest.OpenFiles()

// By default a child inherits only environment and directory.
func TestMission003_12_SpawnDefaults(t *testing.T) {
	ipctest.Store(t)
	t.Setenv("STARTER_TEST", "inherited")
	dir := folder(t)
	s := openStarter(t, "child")
	// Memory and files of this process that are open while the child starts.
	m, err := samepage.CreateUnnamed(4096, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := ensure(t, s, func() (*exec.Cmd, error) { return childCommand(dir) }, true)
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if l := told(t, dir, p); l[0] != "inherited" || l[1] != wd || l[3] != "0" {
		t.Errorf("the child has environment %q, directory %q, %s standard files, want %q, %q, 0", l[0], l[1], l[3], "inherited", wd)
	}
	if runtime.GOOS == "linux" {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.PID, fd.Name()))
			if to != os.DevNull && !slices.Contains(given, to) && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/sys/fs/cgroup/") && !strings.HasPrefix(to, "pipe:") {
				t.Errorf("the child has %s", to)
			}
		}
	}
}

func TestEnsureTogether(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	s := openStarter(t, "child")
	var mu sync.Mutex
	starts := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, started, err := s.Ensure(t.Context(), func() (*exec.Cmd, error) { return childCommand(dir) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if started {
				starts++
			}
		})
	}
	wg.Wait()
	if starts != 1 {
		t.Errorf("%d children were started", starts)
	}
	p, _, err := s.Running(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	told(t, dir, p)
	if n := testing.AllocsPerRun(100, func() {
		if _, started, err := s.Ensure(context.Background(), nil); started || err != nil {
			t.Error(started, err)
		}
	}); n != 0 {
		t.Errorf("to see that the child runs allocates %v times", n)
	}
}

func TestStarterErrors(t *testing.T) {
	ipctest.Store(t)
	ipctest.NeedNames(t)
	for _, name := range []string{"", strings.Repeat("x", MaxName+1), `a\b`} {
		if _, err := Open(name, nil); !errors.Is(err, samepage.ErrName) {
			t.Errorf("open %q: %v", name, err)
		}
	}
	s := openStarter(t, strings.Repeat("x", MaxName))
	gone := errors.New("gone")
	if _, _, err := s.Ensure(t.Context(), func() (*exec.Cmd, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, _, err := s.Ensure(t.Context(), func() (*exec.Cmd, error) { return exec.Command(filepath.Join(ipctest.Dir(t), "no such")), nil }); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := openStarter(t, strings.Repeat("x", MaxName))
	if err := other.lock.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ensure(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := other.lock.Unlock(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Ensure(t.Context(), nil); !errors.Is(err, samepage.ErrClosed) {
		t.Error(err)
	}
}
