//go:build samepagedebug && (linux || windows)

package samepage_test

import (
	"bufio"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
)

// The debug build: go test -tags samepagedebug -run Debug.

func TestDebugLateUseFaults(t *testing.T) {
	m := unnamed(t, 1<<16, nil)
	v := must(m.View(0, 0, samepage.ReadWrite))(t)
	b := v.Bytes()
	b[0] = 1
	ipctest.NoErr(t, v.Close())
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() == nil {
			t.Error("a closed view can be written")
		}
	}()
	// Another mapping must not have taken the place of the closed one.
	view(t, m, 0, 0, samepage.ReadWrite)
	b[0] = 2
}

func TestDebugForgottenMemory(t *testing.T) {
	cmd := ipctest.Command(t, "forget")
	r, w, err := os.Pipe()
	ipctest.NoErr(t, err)
	defer r.Close()
	cmd.Stderr = w
	c := ipctest.StartCmd(t, cmd)
	ipctest.NoErr(t, w.Close())
	late := time.AfterFunc(ipctest.Patience, c.Kill)
	defer late.Stop()
	stderr, in := &strings.Builder{}, bufio.NewReader(r)
	for !strings.Contains(stderr.String(), `"forgotten"`) {
		line, err := in.ReadString('\n')
		stderr.WriteString(line)
		if err != nil {
			t.Fatalf("the end, and nothing forgotten was told: %s", stderr)
		}
	}
	c.Wait()
	_, _ = in.WriteTo(stderr)
	for _, want := range []string{"not closed", `"forgotten"`, "debug_test.go:"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("standard error lacks %q: %s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), `"closed"`) {
		t.Errorf("a memory that was closed is told: %s", stderr.String())
	}
}

func init() {
	helpers["forget"] = func([]string) {
		forget()
		var over atomic.Bool // the input ends when what was forgotten has been told
		go func() {
			_, _ = os.Stdin.Read(make([]byte, 1))
			over.Store(true)
		}()
		for n := 0; n < 20 || !over.Load(); n++ {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func forget() {
	_, _ = samepage.Create("forgotten", 100, nil)
	if m, err := samepage.Create("closed", 100, nil); err == nil {
		_ = m.Close()
	}
}
