package samepage_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/internal/sys"
)

var helpers = map[string]func(args []string){
	"agent":   agent.Run,
	"args":    func([]string) { fmt.Printf("%q\n", os.Args[1:]) },
	"sleeper": func([]string) { fmt.Println("sleeper", os.Getpid()); time.Sleep(ipctest.Patience) },
	"hello":   func([]string) { fmt.Printf("hello, hidden %v\n", sys.StartedHidden()) },
	"churn":   churn,
}

func TestMain(m *testing.M) {
	// However long somebody takes who is at a name.
	sys.RemovalWait = ipctest.Patience
	ipctest.Main(m, helpers)
}

func startAgent(t testing.TB) *ipctest.Child {
	t.Helper()
	return ipctest.Start(t, "agent")
}

// must returns v, or fails the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantChildErr checks that a child's answer is an error that matches the named
// one.
func wantChildErr(t testing.TB, answer, want string) {
	t.Helper()
	names, _, _ := strings.Cut(answer, ":")
	if !strings.HasPrefix(answer, "err ") || !strings.Contains(names+" ", " "+want+" ") {
		t.Errorf("child answers %q, want an error that is %s", answer, want)
	}
}

func closeMem(t testing.TB, m *samepage.Memory) {
	t.Helper()
	ipctest.NoErr(t, m.Close())
}

// closeLater closes m at the end of the test, after the views that are taken
// later.
func closeLater(t testing.TB, m *samepage.Memory) {
	t.Cleanup(func() { closeMem(t, m) })
}

func view(t testing.TB, m *samepage.Memory, off, n int64, a samepage.Access) *samepage.View {
	t.Helper()
	v := must(m.View(off, n, a))(t)
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// create makes a memory that is closed at the end of the test.
func create(t testing.TB, name string, size int64, o *samepage.Options) *samepage.Memory {
	t.Helper()
	m := must(samepage.Create(name, size, o))(t)
	closeLater(t, m)
	return m
}

func unnamed(t testing.TB, size int64, o *samepage.Options) *samepage.Memory {
	t.Helper()
	m := must(samepage.CreateUnnamed(size, o))(t)
	closeLater(t, m)
	return m
}

// names lists what List shows.
func names(t testing.TB) []string {
	t.Helper()
	var out []string
	for _, i := range must(samepage.List())(t) {
		out = append(out, i.Kind.String()+":"+i.Name)
	}
	return out
}

func wantNames(t testing.TB, want ...string) {
	t.Helper()
	if got := names(t); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("List shows %q, want %q", got, want)
	}
}

func onLinux() bool { return runtime.GOOS == "linux" }

// needOtherUser starts a child that is another user than this process.
func needOtherUser(t testing.TB) *ipctest.Child {
	t.Helper()
	if !onLinux() {
		t.Skip("another user cannot be had here (docs/mission.md)")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	c := startAgent(t)
	c.Want("ok", "user 65534")
	return c
}
