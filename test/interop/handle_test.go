//go:build interop

package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
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

// number is what a program answers.
func number(t *testing.T, answer string) uint64 {
	t.Helper()
	s, _ := strings.CutPrefix(answer, "ok ")
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("the program answers %q", answer)
	}
	return n
}

func wantAt(t *testing.T, m *samepage.Memory, off int64, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := m.ReadAt(b, off); err != nil || string(b) != want {
		t.Errorf("%v has %q at %d, %v; want %q", m, b, off, err, want)
	}
}

func unnamed(t *testing.T, size int64, s string) *samepage.Memory {
	t.Helper()
	m, err := samepage.CreateUnnamed(size, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if _, err := m.WriteAt([]byte(s), 0); err != nil {
		t.Fatal(err)
	}
	return m
}

// A child of Go, or of C++, has memory of a C++ parent by the handle's value, and has
// it still when the parent was killed.
func TestMission004_06_07_08_09_CppParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range []string{self, program(t, "handle_child")} {
		for _, how := range []string{"argv dec", "argv hex", "env dec", "env hex"} {
			for _, size := range []int64{100_000, 0} {
				cmd := exec.Command(program(t, "handle_parent"))
				ipctest.SetHelper(cmd, "handle") // for the child, by the environment
				p := ipctest.StartCmd(t, cmd)
				p.Want("ok", "create 100000")
				p.Want("ok", `write 99990 "from C++"`)
				number(t, p.Ask("spawn %s show %s", how, child))
				where := map[bool]string{true: "argv 1", false: "env SHM"}[strings.HasPrefix(how, "argv")]
				p.Want("ok", "tell %s %d", where, size)
				if size == 0 {
					p.Want("ok 102400", "tell size") // rounded up to a page
				}
				p.Want("ok from C++", "tell read 99990 8")
				p.Want("ok", `tell write 0 "from the child"`)
				p.Want("ok from the child", "read 0 14")
				p.Want("ok", "tell atend 99990 8")
				if got := strings.Join(p.KillAndRead(), ","); got != "ok from C++" {
					t.Errorf("%s, %s: after the parent's death the child says %q", child, how, got)
				}
			}
		}
	}
}

func TestMission004_06_07_08_10_CppChild(t *testing.T) {
	m := unnamed(t, 100_000, "from Go")
	for _, form := range []string{"%d", "%#x"} {
		for _, how := range []string{"argv", "env"} {
			cmd := exec.Command(program(t, "handle_child"))
			v, err := samepage.InheritHandle(cmd, m, samepage.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			use := "argv 1 100000"
			if how == "argv" {
				cmd.Args = append(cmd.Args, fmt.Sprintf(form, v))
			} else {
				cmd.Env = append(os.Environ(), "SHM="+fmt.Sprintf(form, v))
				use = "env SHM 100000"
			}
			c := ipctest.StartCmd(t, cmd)
			before := number(t, c.Ask("usage"))
			c.Want("ok", "%s", use)
			c.Want("ok from Go", "read 0 7")
			c.Want("ok", `write 99990 "C++ here"`)
			wantAt(t, m, 99_990, "C++ here")
			c.Want("ok", "close")
			if after := number(t, c.Ask("usage")); after != before-1 {
				t.Errorf("the child has %d handles after it closed, %d before", after, before)
			}
			c.Want("err MapViewOfFile 6", "%s", use)
			wantAt(t, m, 0, "from Go")
		}
	}

	// A reader, and one that has the value of what it did not inherit.
	cmd := exec.Command(program(t, "handle_child"))
	ro, err := samepage.InheritHandle(cmd, m, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	c := ipctest.StartCmd(t, cmd)
	c.Want("err MapViewOfFile 5", "adopt %d 100000 rw", ro)
	c.Want("ok", "adopt %d 100000 ro", ro)
	c.Want("ok from Go", "read 0 7")
	c.Want("err DuplicateHandle 5", "upgrade") // to a handle that can write
	none := start(t, "handle_child")
	none.Want("err MapViewOfFile 6", "adopt %d", ro)
	// Go is out, and the memory stays.
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	c.Want("ok from Go", "read 0 7")
}

func TestMission004_11_DuplicateFromCpp(t *testing.T) {
	p := start(t, "handle_parent")
	p.Want("ok", "create 5000")
	p.Want("ok", `write 0 "given"`)
	m, err := samepage.FromHandle(number(t, p.Ask("duplicate %d", os.Getpid())), 5000, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	wantAt(t, m, 0, "given")
	if _, err := m.WriteAt([]byte("taken"), 4995); err != nil {
		t.Fatal(err)
	}
	p.Want("ok taken", "read 4995 5")

	// Without a right to ask for the size.
	ro := number(t, p.Ask("duplicate-ro %d", os.Getpid()))
	_, err = samepage.FromHandle(ro, 0, samepage.ReadWrite)
	if !errors.Is(err, samepage.ErrBadToken) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a handle for reading, taken for writing: %v", err)
	}
	_, err = samepage.FromHandle(ro, 8193, samepage.ReadOnly)
	if !errors.Is(err, samepage.ErrBadToken) {
		t.Errorf("8193 bytes of 8192: %v", err)
	}
	r, err := samepage.FromHandle(ro, 0, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantAt(t, r, 0, "given")
	if r.Size() != 8192 {
		t.Errorf("5000 bytes are %d with their page", r.Size())
	}
	if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing what was given for reading: %v", err)
	}

	// Pulled, as a debugger does; and by the command.
	v := number(t, p.Ask("offer"))
	n, err := samepage.TakeHandle(p.PID(), v, 5, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	wantAt(t, n, 0, "given")
	if got := samepageRun(t, "", "legacy", "handle", "read", strconv.Itoa(p.PID()), fmt.Sprintf("%#x", v), "--length", "5"); got != "given" {
		t.Errorf("the command reads %q", got)
	}
	// Taken back before it was taken here.
	v = number(t, p.Ask("duplicate %d", os.Getpid()))
	p.Want("ok", "revoke %d %d", os.Getpid(), v)
	if _, err := samepage.FromHandle(v, 0, samepage.ReadOnly); !errors.Is(err, samepage.ErrBadToken) {
		t.Errorf("what was taken back: %v", err)
	}
	p.Kill()
	wantAt(t, m, 0, "given")
	wantAt(t, r, 4995, "taken")
}

func TestMission004_11_DuplicateToCpp(t *testing.T) {
	m := unnamed(t, 5000, "given")
	c := start(t, "handle_child")
	before := number(t, c.Ask("usage"))
	v, err := samepage.GrantHandle(c.PID(), m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	c.Want("ok", "adopt %d 5000", v)
	c.Want("ok given", "read 0 5")
	c.Want("ok", `write 4995 "taken"`)
	wantAt(t, m, 4995, "taken")
	c.Want("ok", "close")
	if err := samepage.RevokeHandle(c.PID(), v); !errors.Is(err, samepage.ErrBadToken) {
		t.Errorf("revoking what was closed: %v", err)
	}
	v, err = samepage.GrantHandle(c.PID(), m, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	c.Want("err MapViewOfFile 5", "adopt %d 5000", v)
	c.Want("ok", "adopt %#x 5000 ro", v)
	c.Want("err DuplicateHandle 5", "upgrade")
	c.Want("ok given", "read 0 5")
	c.Want("ok", "close")
	for range 20 { // none of which it takes
		v, err = samepage.GrantHandle(c.PID(), m, samepage.ReadOnly)
		if err == nil {
			err = samepage.RevokeHandle(c.PID(), v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.Want("err MapViewOfFile 6", "adopt %d 5000", v)
	if after := number(t, c.Ask("usage")); after != before {
		t.Errorf("the process has %d handles, %d before", after, before)
	}
	// What it has closed, and got again as the handle of something else, stays.
	v, err = samepage.GrantHandle(c.PID(), m, samepage.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	c.Want("ok", "adopt %d 5000 ro", v)
	c.Want("ok", "close")
	o, err := samepage.OfferHandle(unnamed(t, 1000, "another"), samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		c.Want("ok", "take %d %d 1000", os.Getpid(), o)
		if number(t, c.Ask("offer")) == v {
			break
		}
		if n == 100 {
			t.Fatalf("no handle of the process has the value %d again", v)
		}
	}
	if err := samepage.RevokeHandle(c.PID(), v); !errors.Is(err, samepage.ErrBadToken) {
		t.Errorf("revoking a value that is another handle's by now: %v", err)
	}
	c.Want("ok another", "read 0 7")
	c.Want("ok", "close")

	// Pulled by C++.
	v, err = samepage.OfferHandle(m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	c.Want("ok", "take %d %d 5000", os.Getpid(), v)
	c.Want("ok given", "read 0 5")
	c.Want("ok", `write 0 "G"`)
	wantAt(t, m, 0, "Given")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	c.Want("ok Given", "read 0 5")
}

// Handles of what is not memory, or not all of it.
func TestMission004_12_WrongHandlesOfCpp(t *testing.T) {
	p := start(t, "handle_parent")
	p.Want("ok", "reserve 100000")
	self := os.Getpid()
	before, _, err := process.Usage()
	if err != nil {
		t.Fatal(err)
	}
	// Ten times: what one of them left would be ten, and threads of the runtime have a few of
	// their own.
	for range 10 {
		for _, what := range []string{"duplicate", "duplicate-ro", "duplicate-event", "duplicate-pipe"} {
			v := number(t, p.Ask("%s %d", what, self))
			for _, access := range []samepage.Access{samepage.ReadOnly, samepage.ReadWrite} {
				if m, err := samepage.FromHandle(v, 0, access); !errors.Is(err, samepage.ErrBadToken) {
					t.Errorf("%s: %v, %v", what, m, err)
				}
				if m, err := samepage.TakeHandle(p.PID(), v+4000, 0, access); !errors.Is(err, samepage.ErrBadToken) {
					t.Errorf("%s: %v, %v", what, m, err)
				}
			}
			p.Want("ok", "revoke %d %d", self, v) // it is there still, and open
		}
	}
	runtime.GC()
	if after, _, err := process.Usage(); err != nil || after > before+8 {
		t.Errorf("%d handles are left, %v", after-before, err)
	}
}

func TestMission004_13_14_StartUp(t *testing.T) {
	// C++ under Go: arguments, and a window that is hidden.
	m := unnamed(t, 1000, "x")
	cmd := exec.Command(program(t, "handle_child"))
	v, err := samepage.InheritHandle(cmd, m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{strconv.FormatUint(v, 10), "with blanks", `quo"ted \"twice\"`, `back\slash\`, "图像 ü", "", "%PATH% $HOME"}
	cmd.Args = append(cmd.Args, args...)
	process.HideWindow(cmd)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok "+strings.Join(args, "|"), "args")
	c.Want("ok", "argv 1 1000")
	c.Want("ok 1 0", "startup") // STARTF_USESHOWWINDOW, SW_HIDE
	start(t, "handle_child").Want("ok 0 0", "startup")

	// Go, and C++, under C++, which copies its own start-up information.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, show := range []string{"show", "hide"} {
		cmd := exec.Command(program(t, "handle_parent"))
		ipctest.SetHelper(cmd, "handle")
		p := ipctest.StartCmd(t, cmd)
		p.Want("ok", "create 1000")
		number(t, p.Ask("spawn argv dec %s %s", show, self))
		p.Want(fmt.Sprintf("ok %v", show == "hide"), "tell hidden")
	}
	cmd = exec.Command(program(t, "handle_parent"))
	process.HideWindow(cmd)
	p := ipctest.StartCmd(t, cmd)
	p.Want("ok", "create 1000")
	number(t, p.Ask("spawn env hex show %s", program(t, "handle_child")))
	p.Want("ok 1 0", "tell startup")
}
