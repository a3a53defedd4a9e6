// Package memtest makes memories, views and helper processes for tests, which close them at
// their end.
package memtest

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// Close closes m, which nobody may be in the way of.
func Close(t testing.TB, m *samepage.Memory) {
	t.Helper()
	ipctest.NoErr(t, m.Close())
}

// CloseLater closes m at the end of the test, after the views that are taken
// later.
func CloseLater(t testing.TB, m *samepage.Memory) {
	t.Cleanup(func() { Close(t, m) })
}

// View takes a view that is closed at the end of the test.
func View(t testing.TB, m *samepage.Memory, off, n int64, a samepage.Access) *samepage.View {
	t.Helper()
	v, err := m.View(off, n, a)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// Create makes a memory that is closed at the end of the test.
func Create(t testing.TB, name string, size int64, o *samepage.Options) *samepage.Memory {
	t.Helper()
	m, err := samepage.Create(name, size, o)
	ipctest.NoErr(t, err)
	CloseLater(t, m)
	return m
}

// Unnamed makes one without a name.
func Unnamed(t testing.TB, size int64, o *samepage.Options) *samepage.Memory {
	t.Helper()
	m, err := samepage.CreateUnnamed(size, o)
	ipctest.NoErr(t, err)
	CloseLater(t, m)
	return m
}

// WantNames checks what List shows, each as its kind, a colon and its name.
func WantNames(t testing.TB, want ...string) {
	t.Helper()
	all, err := samepage.List()
	ipctest.NoErr(t, err)
	var got []string
	for _, i := range all {
		got = append(got, i.Kind.String()+":"+i.Name)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("List shows %q, want %q", got, want)
	}
}

// StartAgent starts a process of package agent, which is the helper "agent" of the test.
func StartAgent(t testing.TB) *ipctest.Child {
	t.Helper()
	return ipctest.Start(t, "agent")
}

// Inheritor starts a child that inherits m under the label x.
func Inheritor(t testing.TB, m *samepage.Memory, a samepage.Access) (c *ipctest.Child, token string) {
	t.Helper()
	cmd := ipctest.Command(t, "agent")
	token, err := samepage.Inherit(cmd, "x", m, a)
	ipctest.NoErr(t, err)
	return ipctest.StartCmd(t, cmd), token
}

// WantChildErr checks that the answer of an agent is an error that matches the named
// one.
func WantChildErr(t testing.TB, answer, want string) {
	t.Helper()
	names, _, _ := strings.Cut(answer, ":")
	if !strings.HasPrefix(answer, "err ") || !strings.Contains(names+" ", " "+want+" ") {
		t.Errorf("child answers %q, want an error that is %s", answer, want)
	}
}

// NeedOtherUser starts an agent that is another user than this process.
func NeedOtherUser(t testing.TB) *ipctest.Child {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no other user is available here (docs/mission)")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	c := StartAgent(t)
	c.Want("ok", "user 65534")
	return c
}
