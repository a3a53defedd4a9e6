package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The id of a process in another pid namespace is never shown as one of ours: neither of a
// member nor of a creator, alive or dead.
func TestOtherPIDNamespaceIsTold(t *testing.T) {
	apart := ipctest.PIDNamespace(t)
	apart.Pdeathsig = syscall.SIGKILL
	ipctest.Store(t)
	start := func(args ...string) *exec.Cmd {
		c := exec.Command("samepage", args...)
		c.SysProcAttr = apart
		ipctest.NoErr(t, c.Start())
		t.Cleanup(func() { _ = c.Process.Kill() })
		return c
	}
	pub := start("pub", "t", "--wait", "1", "-q")
	for joined := false; !joined; {
		st, err := pubsub.Inspect("t", nil)
		joined = err == nil && len(st.Members) == 1 && st.Lanes[0].Publisher != nil
	}
	const foreign = "process 1 of another pid namespace"
	code, out, text := samepageIn("stat", "t")
	if code != 0 || strings.Count(out, foreign) != 3 || strings.Contains(out, "has ended") { // state, publisher, member
		t.Errorf("stat: code %d, %s%s", code, out, text)
	}
	code, out, _ = samepageIn("stat", "--json", "t")
	var s struct {
		State struct{ Members []map[string]any }
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || len(s.State.Members) != 1 ||
		s.State.Members[0]["other_pid_namespace"] != true || s.State.Members[0]["ended"] != nil {
		t.Errorf("stat --json: code %d, %v, %s", code, err, out)
	}
	if _, out, _ := samepageIn("ls", "-v"); !strings.Contains(out, "published by "+foreign) {
		t.Errorf("ls: %s", out)
	}
	if _, out, _ := samepageIn("clean", "-v"); !strings.Contains(out, foreign) {
		t.Errorf("clean -v: %s", out)
	}
	if _, _, text := samepageIn("pub", "t", "--wait", "0"); !strings.Contains(text, foreign) {
		t.Errorf("pub of a second publisher: %s", text)
	}
	ipctest.NoErr(t, pub.Process.Kill())
	_ = pub.Wait()
	if _, out, _ := samepageIn("clean", "-n"); strings.Count(out, foreign) != 2 { // its maker, and a member
		t.Errorf("clean -n: %s", out)
	}
	if _, out, _ := samepageIn("clean", "-n", "--json"); !strings.Contains(out, `"made_in_other_pid_namespace": true`) || !strings.Contains(out, `"other_pid_namespace": true`) {
		t.Errorf("clean -n --json: %s", out)
	}
}
