package samepage_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/internal/sys/process"
)

func init() { helpers["handle"] = agent.Handle }

func needHandles(t *testing.T) {
	t.Helper()
	ipctest.NeedNames(t) // where there are names there is unnamed memory, too
	ipctest.Store(t)
}

// shared is unnamed memory with the text s in it. It is closed at the end of the test.
func shared(t *testing.T, size int64, s string) *samepage.Memory {
	t.Helper()
	m, err := samepage.CreateUnnamed(size, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	put(t, m, 0, s)
	return m
}

func put(t *testing.T, m *samepage.Memory, off int64, s string) {
	t.Helper()
	if _, err := m.WriteAt([]byte(s), off); err != nil {
		t.Fatal(err)
	}
}

func wantAt(t *testing.T, m *samepage.Memory, off int64, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := m.ReadAt(b, off); err != nil || string(b) != want {
		t.Errorf("%v has %q at %d, %v; want %q", m, b, off, err, want)
	}
}

// refused fails the test unless err matches all of want.
func refused(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error is %v (%s), want %v", err, agent.Classify(err), w)
		}
	}
}

// childRefuses fails the test unless the answer of a child names the errors want.
func childRefuses(t *testing.T, answer string, want ...string) {
	t.Helper()
	names, _, _ := strings.Cut(answer, ":")
	for _, w := range want {
		if !strings.HasPrefix(answer, "err ") || !strings.Contains(names+" ", " "+w+" ") {
			t.Errorf("child answers %q, want an error that is %s", answer, w)
		}
	}
}

// heir is a child that inherits a handle of m, and the value of the handle in the child.
func heir(t *testing.T, m *samepage.Memory, a samepage.Access) (*exec.Cmd, uint64) {
	t.Helper()
	cmd := ipctest.Command(t, "handle")
	v, err := samepage.InheritHandle(cmd, m, a)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, v
}

func TestMission004_06_BareHandle(t *testing.T) {
	needHandles(t)
	m := shared(t, 100_000, "by its value")
	cmd, v := heir(t, m, samepage.ReadWrite)
	if v2, err := samepage.InheritHandle(cmd, m, samepage.ReadWrite); err != nil || v2 != v {
		t.Errorf("the same handle once more is %d, %v; want %d", v2, err, v)
	}
	if runtime.GOOS == "linux" && v != 3 {
		t.Errorf("the first file of a child is descriptor %d, want 3", v)
	}
	other := shared(t, 1000, "another one")
	c, plain := ipctest.StartCmd(t, cmd), ipctest.Start(t, "handle")
	sibling, ov := heir(t, other, samepage.ReadWrite)
	d := ipctest.StartCmd(t, sibling)
	childRefuses(t, plain.Ask("adopt %d", v), "ErrBadToken") // has inherited nothing
	if ov != v {
		childRefuses(t, c.Ask("adopt %d", ov), "ErrBadToken")
	}
	c.Want("ok", "adopt %d 100000", v)
	c.Want("ok by its value", "read 0 12")
	c.Want("ok", `write 99995 "child"`)
	wantAt(t, m, 99_995, "child")
	d.Want("ok", "adopt %d 1000", ov)
	d.Want("ok another one", "read 0 11")
	// Taken once: it is no more what the value stands for.
	childRefuses(t, c.Ask("adopt %d", v), "ErrBadToken")
	c.Want("ok by its value", "read 0 12")

	// Several in one child, also of memory that is not unnamed.
	path := filepath.Join(ipctest.Dir(t), "f")
	file, err := samepage.MapFile(path, 5000, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	put(t, file, 0, "in a file")
	exact, err := samepage.Create(fmt.Sprintf("samepage-test-%d", os.Getpid()), 5000, &samepage.Options{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	defer exact.Close()
	if runtime.GOOS == "linux" {
		defer samepage.Remove(exact.Name(), &samepage.Options{Exact: true})
	}
	put(t, exact, 0, "by a bare name")
	cmd = ipctest.Command(t, "handle")
	all := []struct {
		m     *samepage.Memory
		want  string
		value uint64
	}{{m: m, want: "by its value"}, {m: file, want: "in a file"}, {m: exact, want: "by a bare name"}}
	for i := range all {
		if all[i].value, err = samepage.InheritHandle(cmd, all[i].m, samepage.ReadOnly); err != nil {
			t.Fatal(err)
		}
	}
	c = ipctest.StartCmd(t, cmd)
	for _, x := range all {
		childRefuses(t, c.Ask("adopt %d %d rw", x.value, x.m.Size()), "ErrBadToken", "ErrPermission")
		c.Want("ok", "adopt %d %d ro", x.value, x.m.Size())
		c.Want("ok "+x.want, "read 0 %d", len(x.want))
		childRefuses(t, c.Ask(`write 0 "x"`), "ErrPermission")
	}
}

func TestMission004_07_08_BareHandleIsTold(t *testing.T) {
	needHandles(t)
	m := shared(t, 1000, "told")
	for _, form := range []string{"%d", "%#x", "0x%08X"} {
		cmd, v := heir(t, m, samepage.ReadWrite)
		cmd.Args = append(cmd.Args, "--quiet", fmt.Sprintf(form, v))
		c := ipctest.StartCmd(t, cmd)
		c.Want("ok", "argv 2 1000")
		c.Want("ok told", "read 0 4")

		cmd, v = heir(t, m, samepage.ReadWrite)
		cmd.Env = append(cmd.Env, "SHM="+fmt.Sprintf(form, v))
		c = ipctest.StartCmd(t, cmd)
		c.Want("ok", "env SHM 1000 ro")
		c.Want("ok told", "read 0 4")
	}
}

func TestMission004_09_BareHandleOutlivesParent(t *testing.T) {
	needHandles(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"argv dec", "env hex"} {
		p := ipctest.Start(t, "handle")
		p.Want("ok", "create 100000")
		p.Want("ok", `write 50000 "still here"`)
		if got := p.Ask("spawn %s show %s", how, exe); !strings.HasPrefix(got, "ok ") {
			t.Fatal(got)
		}
		p.Want("ok", "tell %s", map[string]string{"argv dec": "argv 1 100000", "env hex": "env SHM 100000"}[how])
		p.Want("ok", "tell atend 50000 10")
		p.Send("tell write 50000 \"still HERE\"")
		if got := p.Line(); got != "ok" {
			t.Error(got)
		}
		p.Want("ok still HERE", "read 50000 10")
		// The child notices by the end of its input, and reads.
		if got := strings.Join(p.KillAndRead(), ","); got != "ok still HERE" {
			t.Errorf("after the parent's death the child says %q", got)
		}
	}
}

func TestMission004_10_BareHandlesAreClosed(t *testing.T) {
	needHandles(t)
	cmd := ipctest.Command(t, "handle")
	var values []uint64
	for range 20 {
		v, err := samepage.InheritHandle(cmd, shared(t, 1000, "x"), samepage.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	c := ipctest.StartCmd(t, cmd)
	usage := func() (n int) {
		if _, err := fmt.Sscanf(c.Ask("usage"), "ok %d", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	usage()
	before := usage()
	for _, v := range values {
		c.Want("ok", "adopt %d 1000", v)
		c.Want("ok x", "read 0 1")
		c.Want("ok", "close")
	}
	if after := usage(); after > before-10 { // threads of the runtime have some of their own
		t.Errorf("child has %d handles after closing all, %d with 20 inherited ones", after, before)
	}
	for _, v := range values {
		childRefuses(t, c.Ask("adopt %d 1000", v), "ErrBadToken")
	}
}

func TestMission004_11_GrantHandle(t *testing.T) {
	needHandles(t)
	m := shared(t, 100_000, "granted")
	c := ipctest.Start(t, "handle")
	v, err := samepage.GrantHandle(c.PID(), m, samepage.ReadWrite)
	if runtime.GOOS == "linux" {
		refused(t, err, errors.ErrUnsupported)
		if err == nil || !strings.Contains(err.Error(), "TakeHandle") || !strings.Contains(err.Error(), "samepage.Grant") {
			t.Errorf("%v tells no other way", err)
		}
		refused(t, samepage.RevokeHandle(c.PID(), 3), errors.ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Want("ok", "adopt %d 100000", v)
	c.Want("ok granted", "read 0 7")
	c.Want("ok", `write 0 "G"`)
	wantAt(t, m, 0, "Granted")
	// It is another value now: nothing is closed over there.
	refused(t, samepage.RevokeHandle(c.PID(), v), samepage.ErrBadToken)
	c.Want("ok Granted", "read 0 7")

	reader := ipctest.Start(t, "handle")
	v, err = samepage.GrantHandle(reader.PID(), m, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	childRefuses(t, reader.Ask("adopt %d 100000 rw", v), "ErrBadToken", "ErrPermission")
	reader.Want("ok", "adopt %d 100000 ro", v) // it still is there
	reader.Want("ok Granted", "read 0 7")
	childRefuses(t, reader.Ask(`write 0 "x"`), "ErrPermission")

	// From a child to this process; and back again what is not wanted.
	r := reader.Ask("create 500")
	if r != "ok" {
		t.Fatal(r)
	}
	reader.Want("ok", `write 0 "mine"`)
	value := func(answer string) uint64 {
		s, _ := strings.CutPrefix(answer, "ok ")
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("child answers %q", answer)
		}
		return n
	}
	v = value(reader.Ask("grant %d rw", os.Getpid()))
	o, err := samepage.FromHandle(v, 500, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	wantAt(t, o, 0, "mine")
	v = value(reader.Ask("grant %d rw", os.Getpid()))
	reader.Want("ok", "revoke %d %d", os.Getpid(), v)
	_, err = samepage.FromHandle(v, 500, samepage.ReadWrite)
	refused(t, err, samepage.ErrBadToken)
	childRefuses(t, reader.Ask("revoke %d %d", os.Getpid(), v), "ErrBadToken") // once
	wantAt(t, o, 0, "mine")
	reader.Kill()
	wantAt(t, o, 0, "mine")
}

func TestMission004_11_TakeHandle(t *testing.T) {
	needHandles(t)
	c := ipctest.Start(t, "handle")
	c.Want("ok", "create 70000")
	c.Want("ok", `write 69996 "here"`)
	offer := func(access string) (v uint64) {
		if _, err := fmt.Sscanf(c.Ask("offer %s", access), "ok %d", &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	rw := offer("rw")
	m, err := samepage.TakeHandle(c.PID(), rw, 70_000, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	wantAt(t, m, 69_996, "here")
	put(t, m, 0, "there")
	c.Want("ok there", "read 0 5")
	// A second one, which is independent of the first.
	n, err := samepage.TakeHandle(c.PID(), rw, 70_000, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	wantAt(t, n, 0, "there")
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	wantAt(t, m, 0, "there")

	// The part that is used, and what the kernel knows.
	part, err := samepage.TakeHandle(c.PID(), rw, 5, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if part.Size() != 5 {
		t.Errorf("a part of 5 bytes has %d", part.Size())
	}
	all, err := samepage.TakeHandle(c.PID(), rw, 0, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if want := map[string]int64{"linux": 70_000, "windows": 18*4096 + 4096}[runtime.GOOS]; all.Size() != want {
		t.Errorf("the kernel knows %d bytes, want %d", all.Size(), want)
	}

	// What is offered for reading is not written; on Linux by nobody then, but
	// through what was mapped before.
	ro := offer("ro")
	_, err = samepage.TakeHandle(c.PID(), ro, 70_000, samepage.ReadWrite)
	refused(t, err, samepage.ErrBadToken, fs.ErrPermission)
	r, err := samepage.TakeHandle(c.PID(), ro, 70_000, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantAt(t, r, 0, "there")
	_, err = r.View(0, 0, samepage.ReadWrite)
	refused(t, err, fs.ErrPermission)
	c.Want("ok", `write 0 "T"`) // the one whose it is still writes
	wantAt(t, r, 0, "There")

	c.Want("ok", "close")
	_, err = samepage.TakeHandle(c.PID(), rw, 70_000, samepage.ReadOnly)
	refused(t, err, samepage.ErrBadToken)
	wantAt(t, m, 0, "There")
	pid := c.PID()
	c.Kill()
	_, err = samepage.TakeHandle(pid, rw, 0, samepage.ReadOnly)
	refused(t, err, samepage.ErrPeerNotStarted)
	wantAt(t, m, 0, "There")
}

func TestMission004_12_BareHandleErrors(t *testing.T) {
	needHandles(t)
	m := shared(t, 1000, "precious")
	pipe, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	defer in.Close()
	file, err := os.Create(filepath.Join(ipctest.Dir(t), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := ipctest.Command(t, "handle")
	mine, err := samepage.InheritHandle(cmd, m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	offered, err := samepage.OfferHandle(m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	c := ipctest.StartCmd(t, cmd)
	var before, after int
	if _, err := fmt.Sscanf(c.Ask("usage"), "ok %d", &before); err != nil {
		t.Fatal(err)
	}
	bad := []uint64{0, 1, 2, 999_996, 1 << 40, ^uint64(0), ^uint64(1), uint64(pipe.Fd()), uint64(in.Fd()), uint64(file.Fd())}
	for _, v := range bad {
		if _, err := samepage.FromHandle(v, 0, samepage.ReadOnly); !errors.Is(err, samepage.ErrBadToken) {
			t.Errorf("FromHandle(%#x): %v", v, err)
		}
		childRefuses(t, c.Ask("adopt %#x 0 ro", v), "ErrBadToken")
		childRefuses(t, c.Ask("adopt %#x 0 rw", v), "ErrBadToken")
	}
	// The memory of this process itself, in use.
	for _, v := range []uint64{mine, offered} {
		if runtime.GOOS == "linux" && v == mine {
			continue // a number of the child
		}
		_, err := samepage.FromHandle(v, 0, samepage.ReadOnly)
		refused(t, err, samepage.ErrBadToken)
	}
	// Every value there is: none is taken from its owner, and nothing blocks.
	for v := range uint64(1000) {
		if fromParent(v) {
			continue
		}
		if n, err := samepage.FromHandle(v, 0, samepage.ReadWrite); err == nil {
			t.Errorf("handle %#x is taken from this process as %v", v, n)
			_ = n.Close()
		}
	}
	wantAt(t, m, 0, "precious")
	if _, err := in.Write([]byte("x")); err != nil {
		t.Errorf("a pipe of this process: %v", err)
	}

	// What is inherited, but not so, stays to be inherited.
	childRefuses(t, c.Ask("adopt %d 1000000", mine), "ErrBadToken")
	childRefuses(t, c.Ask("adopt %d -1", mine), "ErrNegativeSize")
	childRefuses(t, c.Ask("adopt %d 10 cow", mine), "ErrInvalid")
	// Two for each value would be left by a leak; a thread of Go's has some of its own.
	if _, err := fmt.Sscanf(c.Ask("usage"), "ok %d", &after); err != nil || after > before+len(bad) {
		t.Errorf("%d bad values, each twice, left %d handles in the process (%v)", len(bad), after-before, err)
	}
	c.Want("ok", "adopt %d 1000", mine)
	c.Want("ok precious", "read 0 8")

	for _, pid := range []int{0, -1, 1 << 22} {
		_, err := samepage.TakeHandle(pid, 4, 0, samepage.ReadOnly)
		refused(t, err, samepage.ErrPeerNotStarted)
		if runtime.GOOS == "windows" {
			_, err = samepage.GrantHandle(pid, m, samepage.ReadOnly)
			refused(t, err, samepage.ErrPeerNotStarted)
			refused(t, samepage.RevokeHandle(pid, 4), samepage.ErrPeerNotStarted)
		}
	}
	for _, v := range bad[:5] {
		_, err := samepage.TakeHandle(c.PID(), v, 0, samepage.ReadWrite)
		refused(t, err, samepage.ErrBadToken)
	}
	if runtime.GOOS == "windows" {
		dead := ipctest.Start(t, "handle")
		pid := dead.PID()
		v, err := samepage.GrantHandle(pid, m, samepage.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		dead.Kill()
		refused(t, samepage.RevokeHandle(pid, v), samepage.ErrPeerNotStarted)
		_, err = samepage.GrantHandle(pid, m, samepage.ReadOnly)
		refused(t, err, samepage.ErrPeerNotStarted)
		refused(t, samepage.RevokeHandle(c.PID(), 4), samepage.ErrBadToken) // never granted
	}
	_, err = samepage.InheritHandle(ipctest.Command(t, "handle"), m, samepage.CopyOnWrite)
	refused(t, err, fs.ErrInvalid)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = samepage.InheritHandle(ipctest.Command(t, "handle"), m, samepage.ReadOnly)
	refused(t, err, samepage.ErrClosed)
	_, err = samepage.OfferHandle(m, samepage.ReadOnly)
	refused(t, err, samepage.ErrClosed)
	_, err = samepage.FromHandle(offered, 0, samepage.ReadOnly)
	refused(t, err, samepage.ErrBadToken)
}

func TestMission004_12_TakeFromAnotherUser(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("only root on Linux can become another user")
	}
	needHandles(t)
	v, err := samepage.OfferHandle(shared(t, 1000, "mine"), samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	c := ipctest.Start(t, "handle")
	c.Want("ok", "take %d %d 1000 ro", os.Getpid(), v)
	c.Want("ok", "user 65534")
	childRefuses(t, c.Ask("take %d %d 1000 ro", os.Getpid(), v), "ErrPermission")
}

// fromParent says whether a descriptor may come from the process that runs the tests.
func fromParent(v uint64) bool {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", v))
	if err != nil {
		return false
	}
	var pos int
	var flags uint64
	_, err = fmt.Sscanf(string(info), "pos: %d\nflags: %o", &pos, &flags)
	return err != nil || flags&0o2000000 == 0 // O_CLOEXEC
}

func TestMission004_13_14_BareHandleChild(t *testing.T) {
	needHandles(t)
	m := shared(t, 1000, "x")
	cmd, v := heir(t, m, samepage.ReadOnly)
	process.HideWindow(cmd)
	args := []string{strconv.FormatUint(v, 10), "with blanks", `quo"ted \"twice\"`, `back\slash\`, "图像 ü", "", "%PATH% $HOME"}
	cmd.Args = append(cmd.Args, args...)
	given := fmt.Sprintf("%q", cmd.Args)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok "+strings.Join(args, "|"), "args")
	c.Want("ok", "argv 1 1000 ro")
	c.Want(fmt.Sprintf("ok %v", runtime.GOOS == "windows"), "hidden")
	if got := fmt.Sprintf("%q", cmd.Args); got != given {
		t.Errorf("the arguments are %s, were %s", got, given)
	}
}
