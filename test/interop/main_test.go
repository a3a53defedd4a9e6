//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// helpers are the children of these tests that are Go programs; each file adds its own.
var helpers = map[string]func([]string){}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }

func program(t *testing.T, name string) string {
	t.Helper()
	bin := os.Getenv("SAMEPAGE_INTEROP_BIN")
	if bin == "" {
		t.Fatal("SAMEPAGE_INTEROP_BIN is not set; run test/wine/interop")
	}
	return filepath.Join(bin, name+".exe")
}

func start(t *testing.T, name string) *ipctest.Child {
	t.Helper()
	return ipctest.StartCmd(t, exec.Command(program(t, name)))
}

// samepageRun runs the command and returns what it prints.
func samepageRun(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, "samepage"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("samepage %q: %v", args, err)
	}
	return string(out)
}
