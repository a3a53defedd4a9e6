package inspect_test

import (
	"testing"

	"samepage"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// The holder of a lock for which somebody waits is seen to be stopped, and to go on.
func TestSnapshotOfStopped(t *testing.T) {
	ipctest.Store(t)
	a, b := must(ipcsync.CreateMutex("a", nil)), must(ipcsync.CreateMutex("b", nil))
	defer a.Close()
	defer b.Close()
	child := ipctest.Start(t, "locks", "a", "b")
	child.Line()
	child.Stop()
	ended := make(chan error)
	go func() { ended <- a.Lock(bg) }()
	blockers := func(s *inspect.State) []inspect.Member { return s.Objects[0].Detail.Blockers }
	s := snapshot(t, func(s *inspect.State) bool { return len(blockers(s)) == 1 })
	if m := blockers(s)[0]; m.PID != child.PID() || !m.Stopped {
		t.Errorf("the holder: %+v", m)
	}
	child.Continue()
	snapshot(t, func(s *inspect.State) bool { all := blockers(s); return len(all) == 1 && !all[0].Stopped })
	child.Kill()
	ipctest.WantErr(t, <-ended, samepage.ErrOwnerDied)
}
