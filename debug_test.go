//go:build samepagedebug && (linux || windows)

package samepage_test

import (
	"bytes"
	"runtime"
	"runtime/debug"
	"strings"
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
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
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
		for range 20 {
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
