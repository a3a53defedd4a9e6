package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	lib "samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// holderCommand makes this program a process that has objects open: for the tests and, as the
// command samepage, for the scripts.
const holderCommand = "test-holder"

func init() {
	if len(os.Args) > 1 && os.Args[1] == holderCommand {
		h := holder{locks: map[string]*ipcsync.Mutex{}}
		for _, word := range os.Args[2:] {
			verb, name, _ := strings.Cut(word, "=")
			if err := h.do(verb, name); err != nil {
				fmt.Fprintln(os.Stderr, word, err)
				os.Exit(1)
			}
		}
		h.serve()
		os.Exit(0)
	}
}

type holder struct {
	locks    map[string]*ipcsync.Mutex
	held     []string
	others   []string // locks that are open and whose owner will die
	memories []*lib.Memory
	events   []*ipcsync.Event
	stuck    *pubsub.Subscriber
	writers  []*cell.Writer
	serving  bool
}

// topicHas fails unless a topic has such a member.
func topicHas(name string, is func(m pubsub.Member, depth int) bool) error {
	st, err := pubsub.Inspect(name, nil)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(st.Members, func(m pubsub.Member) bool { return is(m, st.Options.Depth) }) {
		return errors.New("it has no such member")
	}
	return nil
}

const holderText = "still here"

func (h *holder) do(verb, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
	defer cancel()
	switch verb {
	case "memory":
		m, err := lib.Create(name, 4096, nil)
		if err == nil {
			h.memories = append(h.memories, m)
			_, err = m.WriteAt([]byte(holderText), 0)
		}
		return err
	case "event":
		e, err := ipcsync.CreateEvent(name, nil)
		h.events = append(h.events, e)
		return err
	case "lock": // makes a mutex and has it
		m, err := ipcsync.CreateMutex(name, nil)
		if err == nil {
			h.locks[name], h.held = m, append(h.held, name)
			err = m.Lock(ctx)
		}
		return err
	case "small": // makes a mutex for one
		m, err := ipcsync.CreateMutex(name, &ipcsync.Options{Members: 1})
		h.locks[name] = m
		return err
	case "open":
		m, err := ipcsync.OpenMutex(name, nil)
		h.locks[name], h.others = m, append(h.others, name)
		return err
	case "wait": // waits for a mutex for good
		m, err := ipcsync.OpenMutex(name, nil)
		if err == nil {
			err = m.Lock(context.Background())
		}
		return err
	case "dirty": // has had a mutex whose owner died
		m, err := ipcsync.OpenMutex(name, nil)
		if err != nil {
			return err
		}
		h.locks[name] = m
		if err := m.Lock(ctx); !errors.Is(err, lib.ErrOwnerDied) {
			return fmt.Errorf("lock: %v, want ErrOwnerDied", err)
		}
		return m.Unlock()
	case "plant": // makes a mutex that is none
		m, err := lib.Create(name, 4096, &lib.Options{Kind: lib.KindMutex, Lifetime: lib.Persist})
		if err == nil {
			err = m.Close()
		}
		return err
	case "asleep": // fails unless somebody waits for a mutex
		st, err := ipcsync.InspectMutex(name, nil)
		if err == nil && !slices.ContainsFunc(st.Members, func(m ipcsync.Member) bool { return m.Waits }) {
			err = errors.New("nobody waits")
		}
		return err
	case "eventwaits": // fails unless somebody waits for an event
		st, err := ipcsync.InspectEvent(name, nil)
		if err == nil && !slices.ContainsFunc(st.Members, func(m ipcsync.Member) bool { return m.Waits }) {
			err = errors.New("nobody waits")
		}
		return err
	case "published": // fails unless a topic has a publisher
		return topicHas(name, func(m pubsub.Member, _ int) bool { return m.Role == pubsub.Publishing && m.Alive })
	case "steady": // publishes a message each 5 ms for good
		p, _, err := pubsub.OpenOrCreatePublisher(name, &pubsub.Options{MaxSize: 100, Times: true})
		for ; err == nil; time.Sleep(5 * time.Millisecond) {
			err = p.Send(context.Background(), []byte("a message"))
		}
		return err
	case "subscribed": // fails unless a topic has a reliable subscriber
		return topicHas(name, func(m pubsub.Member, _ int) bool { return m.Role == pubsub.Reliable })
	case "watched": // fails unless a topic has a best-effort subscriber
		return topicHas(name, func(m pubsub.Member, _ int) bool { return m.Role == pubsub.BestEffort })
	case "stuck": // makes a topic, subscribes to it, and takes nothing
		p, _, err := pubsub.OpenOrCreatePublisher(name, nil)
		if err == nil {
			h.stuck, err = pubsub.OpenSubscriber(name, nil)
			err = errors.Join(err, p.Close())
		}
		return err
	case "turn": // makes a cell with a value, and has the turn to write the next one, for good
		w, _, err := cell.OpenOrCreateWriter(name, 100, nil)
		if err != nil {
			return err
		}
		h.writers = append(h.writers, w)
		if err := w.Set(ctx, []byte(holderText)); err != nil {
			return err
		}
		_, err = w.Loan(ctx, 1)
		return err
	case "hasturn": // fails unless a writer of a cell has the turn
		st, err := cell.Inspect(name, nil)
		if err == nil && !slices.ContainsFunc(st.Members, func(m cell.Member) bool { return m.Writing }) {
			err = errors.New("nobody writes")
		}
		return err
	case "inway": // fails unless a publisher waits for a subscriber
		return topicHas(name, func(m pubsub.Member, depth int) bool { return len(m.Behind) > 0 && m.Behind[0] >= uint64(depth) })
	case "ready": // says so by a file, and stays
		f, err := os.Create(name)
		if err == nil {
			err = f.Close()
		}
		time.Sleep(10 * ipctest.Patience)
		return err
	case "there": // fails until that file is there
		_, err := os.Stat(name)
		return err
	case "serve":
		h.serving = true
		return nil
	}
	return errors.New("unknown verb")
}

// serve answers each line by whether all objects that it has still work.
func (h *holder) serve() {
	if !h.serving {
		return
	}
	fmt.Println("ready")
	for {
		if n, err := os.Stdin.Read(make([]byte, 100)); n == 0 || err == io.EOF {
			return
		}
		if err := h.check(); err != nil {
			fmt.Println("error:", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Println("fine")
	}
}

func (h *holder) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
	defer cancel()
	for _, name := range h.held {
		m := h.locks[name]
		// It has the lock, so nobody got it meanwhile.
		if err := errors.Join(m.Unlock(), m.Lock(ctx), m.Unlock(), m.Lock(ctx)); err != nil {
			return err
		}
	}
	for _, name := range h.others {
		m := h.locks[name]
		if err := m.Lock(ctx); !errors.Is(err, lib.ErrOwnerDied) {
			return fmt.Errorf("lock of the dead owner of %s: %w", name, err)
		}
		if err := errors.Join(m.Consistent(), m.Unlock()); err != nil {
			return err
		}
	}
	for _, m := range h.memories {
		b := make([]byte, len(holderText))
		if _, err := m.ReadAt(b, 0); err != nil || string(b) != holderText {
			return fmt.Errorf("%s has %q, %w", m.Name(), b, err)
		}
	}
	for _, e := range h.events {
		if err := e.Set(); err != nil {
			return err
		}
		if ok, err := e.TryWait(); !ok || err != nil {
			return fmt.Errorf("event %s: %v, %w", e.Name(), ok, err)
		}
	}
	return nil
}

// startHolder starts a process that has objects open; it is not ready yet.
func startHolder(t *testing.T, words ...string) *ipctest.Child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, append([]string{holderCommand, "serve"}, words...)...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1") // few threads: there are many of them
	return ipctest.StartCmd(t, c)
}

// cleanSays runs clean --json with more arguments, and returns what it reports by kind and name:
// what is removed, and what stays.
func cleanSays(t *testing.T, args ...string) (gone, kept map[string]cleaned) {
	t.Helper()
	out, errs, code := command(t, append([]string{"clean", "--json"}, args...)...)
	var all []cleaned
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || errs != "" {
		t.Fatalf("clean %v: exit code %d, %s, %v", args, code, errs, err)
	}
	gone, kept = map[string]cleaned{}, map[string]cleaned{}
	for _, c := range all {
		m := gone
		if c.Kept {
			m = kept
		}
		m[c.Kind.String()+" "+c.Name] = c
	}
	return gone, kept
}

// sameNames fails the test if the names that were reported are not exactly the expected ones.
func sameNames(t *testing.T, what string, got map[string]cleaned, want map[string]int) {
	t.Helper()
	for n := range got {
		if _, ok := want[n]; !ok {
			t.Errorf("%s: %s should not be told", what, n)
		}
	}
	for n, pid := range want {
		if _, ok := got[n]; !ok {
			t.Errorf("%s: %s of process %d is not told", what, n, pid)
		}
	}
}

// signalAll sends a signal, by its name without SIG, to many processes.
func signalAll(t *testing.T, name string, all []*ipctest.Child) {
	t.Helper()
	args := []string{"-c", `kill "$@"`, "sh", "-" + name}
	for _, c := range all {
		args = append(args, strconv.Itoa(c.PID()))
	}
	if out, err := exec.Command("sh", args...).CombinedOutput(); err != nil {
		t.Fatalf("kill -%s: %v, %s", name, err, out)
	}
}

// waitStopped waits until a process is stopped. On Windows no process can be.
func waitStopped(t *testing.T, pid int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if _, state, _ := strings.Cut(string(b), ") "); strings.HasPrefix(state, "T") {
			return
		}
		if time.Since(begin) > ipctest.Patience {
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

// Of many processes that have objects open half are killed and half are stopped. Clean removes
// what the killed processes left, all of it and nothing else, and the stopped ones go on.
// SAMEPAGE_PROCESSES says how many there are (make soak: 1000). On Windows processes cannot be
// stopped: there the other half just goes on.
func TestSoakManyStalledAndKilled(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	n := ipctest.Repeat(t, 100, 20, "SAMEPAGE_PROCESSES")
	begin := time.Now()
	lap := func(what string) {
		t.Logf("%-40s %8v", what, time.Since(begin).Round(time.Millisecond))
		begin = time.Now()
	}

	// Each stopped process has a lock open that a killed one made and has.
	var toKill, toStop []*ipctest.Child
	goes, stays := map[string]int{}, map[string]int{}
	const batch = 20
	for i := 0; i < n/2; i += batch {
		for _, first := range []bool{true, false} {
			var started []*ipctest.Child
			for k := i; k < min(i+batch, n/2); k++ {
				other := []string{"memory", "event"}[k%2]
				if first {
					c := startHolder(t, fmt.Sprintf("lock=k%d", k), fmt.Sprintf("%s=k%d", other, k), fmt.Sprintf("lock=both%d", k))
					goes[fmt.Sprintf("mutex k%d", k)], goes[fmt.Sprintf("%s k%d", other, k)] = c.PID(), c.PID()
					started, toKill = append(started, c), append(toKill, c)
					continue
				}
				c := startHolder(t, fmt.Sprintf("lock=s%d", k), fmt.Sprintf("%s=s%d", other, k), fmt.Sprintf("open=both%d", k))
				stays[fmt.Sprintf("mutex s%d", k)], stays[fmt.Sprintf("%s s%d", other, k)] = c.PID(), c.PID()
				stays[fmt.Sprintf("mutex both%d", k)] = c.PID()
				started, toStop = append(started, c), append(toStop, c)
			}
			for _, c := range started {
				if l := c.Line(); l != "ready" {
					t.Fatal(l)
				}
			}
		}
	}
	lap(fmt.Sprintf("%d processes started", n))

	stop := runtime.GOOS != "windows"
	if stop {
		signalAll(t, "STOP", toStop)
		for _, c := range toStop {
			waitStopped(t, c.PID())
		}
	}
	for _, c := range toKill {
		_ = c.Cmd.Process.Kill()
	}
	for _, c := range toKill {
		c.Kill()
	}
	lap("half stopped, half killed")

	gone, _ := cleanSays(t, "--dry-run")
	sameNames(t, "dry run", gone, goes)
	lap(fmt.Sprintf("clean --dry-run: %d objects", len(gone)))

	checkDoctor(t, len(goes), n/2)
	lap("doctor")

	gone, kept := cleanSays(t, "--verbose")
	sameNames(t, "taken", gone, goes)
	sameNames(t, "kept", kept, stays)
	lap(fmt.Sprintf("clean -v: %d taken, %d kept", len(gone), len(kept)))
	for name, c := range gone {
		checkTaken(t, name, c, goes[name])
	}
	for name, c := range kept {
		checkKept(t, name, c, stays[name])
	}
	if gone, _ := cleanSays(t); len(gone) != 0 {
		t.Errorf("a second clean takes %v", slices.Collect(maps.Keys(gone)))
	}

	if stop {
		signalAll(t, "CONT", toStop)
	}
	for _, c := range toStop {
		c.Send("go on")
	}
	for _, c := range toStop {
		if l := c.Line(); l != "fine" {
			t.Errorf("process %d, which was stopped: %s", c.PID(), l)
		}
	}
	lap("the stopped go on")
	for _, c := range toStop {
		c.Kill()
	}
	gone, _ = cleanSays(t)
	sameNames(t, "at the end", gone, stays)
	if left := files(t, store); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
	lap(fmt.Sprintf("the rest killed, clean: %d taken", len(gone)))
}

// checkTaken checks what clean reports about an object of a killed process.
func checkTaken(t *testing.T, name string, c cleaned, pid int) {
	t.Helper()
	if !c.Removed || c.Reason == "" {
		t.Errorf("%s: removed %v, %q", name, c.Removed, c.Reason)
	}
	if runtime.GOOS == "windows" { // the members went with the last of them
		if c.MadeBy != pid {
			t.Errorf("%s was made by process %d, clean tells %d", name, pid, c.MadeBy)
		}
		return
	}
	if c.Kind == lib.KindMemory {
		return
	}
	if len(c.Members) != 1 || c.MadeBy != pid {
		t.Errorf("%s of process %d: made by %d, members %+v", name, pid, c.MadeBy, c.Members)
		return
	}
	m := c.Members[0]
	if m.PID != pid || m.Name == "" || m.Alive || m.Owner != (c.Kind == lib.KindMutex) || time.Since(m.Joined) > time.Hour {
		t.Errorf("%s of process %d has member %+v", name, pid, m)
	}
}

// checkKept checks what clean reports about an object of a living process.
func checkKept(t *testing.T, name string, c cleaned, pid int) {
	t.Helper()
	if c.Removed || c.Reason == "" {
		t.Errorf("%s: removed %v, %q", name, c.Removed, c.Reason)
	}
	if c.Kind == lib.KindMemory {
		return
	}
	alive := slices.ContainsFunc(c.Members, func(m inspect.Member) bool { return m.PID == pid && m.Alive })
	dead := slices.ContainsFunc(c.Members, func(m inspect.Member) bool { return m.PID != pid && !m.Alive && m.Owner })
	if !alive || dead != strings.Contains(name, "both") {
		t.Errorf("%s of process %d has members %+v", name, pid, c.Members)
	}
}

// checkDoctor checks what doctor finds: objects that nobody uses, and locks with a
// dead owner.
func checkDoctor(t *testing.T, unused, dead int) {
	t.Helper()
	out, errs, code := command(t, "doctor", "--json")
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		t.Fatalf("doctor: exit code %d, %s, %v", code, errs, err)
	}
	told := ""
	for _, f := range all {
		switch f.Finding {
		case inspect.Unused:
			told = f.Value
		case inspect.Dead:
			dead--
		case "":
		default:
			t.Errorf("doctor finds %+v", f)
		}
	}
	if want := strconv.Itoa(unused) + " objects "; dead != 0 || !strings.HasPrefix(told, want) {
		t.Errorf("doctor tells of %q, want %s, and of %d locks with a dead owner too few", told, want, dead)
	}
}
