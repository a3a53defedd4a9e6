package main

import (
	"os/exec"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// onTerminal runs the command with a terminal as standard output.
func onTerminal(t *testing.T, args string) (shown, errs string, code int) {
	t.Helper()
	cmd := exec.Command("samepage", strings.Fields(args)...)
	var b strings.Builder
	cmd.Stderr = &b
	shown = ipctest.OnTerminal(t, 40, cmd)
	return shown, b.String(), cmd.ProcessState.ExitCode()
}

// Each command that writes what others have written writes bytes that are not text to a
// terminal only with --raw; after text it ends the line there. (This test uses the terminals of
// Linux. The code that decides is tested on each system.)
func TestPayloadsOnTerminal(t *testing.T) {
	ipctest.Store(t)
	for _, made := range []struct{ args, stdin string }{
		{"put text --create", "a text"},
		{"put binary --create", "\x1b[31m\x00"},
		{"cell put text --create", "250"},
		{"cell put binary --create", "\x1b[31m"},
		{"pub text --persist", "one\ntwo\n"},
		{"pub binary --persist", "\x1b[31m\n\xff\n"},
	} {
		cmd := exec.Command("samepage", strings.Fields(made.args)...)
		cmd.Stdin = strings.NewReader(made.stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v, %s", made.args, err, out)
		}
	}
	writer := startProcess(t, "legacy", "sharememory", "write", "binary")
	if _, err := writer.in.Write([]byte("\x00\x01")); err != nil || writer.in.Close() != nil {
		t.Fatal(err)
	}
	writer.says("held until Ctrl-C")
	text := startProcess(t, "legacy", "text", "serve", "--every", "0")
	if _, err := text.in.Write([]byte("\xd6\xd0")); err != nil || text.in.Close() != nil {
		t.Fatal(err)
	}
	text.says("serving text")
	for _, c := range []struct {
		args  string
		shown string
		code  int
		says  string
	}{
		{"cat text", "a text\n", 0, ""},
		{"cat text --raw", "a text", 0, ""},
		{"cat binary", "", 2, "--raw"},
		{"cat binary --raw", "\x1b[31m\x00", 0, ""},
		{"cat text --json", `{"name":"text","size":6,"offset":0,"length":6,"data":"YSB0ZXh0"}` + "\n", 0, ""},
		{"cell get text", "250\n", 0, ""},
		{"cell get text --raw", "250", 0, ""},
		{"cell get binary", "", 2, "--raw"},
		{"cell get binary --raw", "\x1b[31m", 0, ""},
		{"cell watch text -n 1", "250\n", 0, ""},
		{"cell watch binary -n 1", `\x1b[31m` + "\n", 0, ""},
		{"cell watch binary -n 1 --raw", "\x1b[31m\n", 0, ""},
		{"sub text", "one\ntwo\n", 0, ""},
		{"sub binary", `\x1b[31m` + "\n(1 byte, not text: --hex or --raw writes them)\n", 0, ""},
		{"sub binary --raw", "\x1b[31m\xff", 0, ""},
		{"sub binary --hex", "1b5b33316d\nff\n", 0, ""},
		{"sub binary --y4m", "", 2, "stream is not text"},
		{"legacy sharememory read binary", "", 2, "--raw"},
		{"legacy sharememory read binary --raw", "\x00\x01", 0, ""},
	} {
		shown, errs, code := onTerminal(t, c.args)
		if shown != c.shown || code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("samepage %s: %q on the terminal, exit code %d, want %q, %d, and %q in %q", c.args, shown, code, c.shown, c.code, c.says, errs)
		}
	}
	for { // until the server has read its input
		shown, errs, code := onTerminal(t, "legacy text get")
		if code == 0 && shown == "" {
			continue
		}
		if shown != "" || code != 2 || !strings.Contains(errs, "--raw") {
			t.Errorf("legacy text get: %q, exit code %d, %s", shown, code, errs)
		}
		break
	}
	if shown, _, code := onTerminal(t, "legacy text get --raw"); shown != "\xd6\xd0" || code != 0 {
		t.Errorf("legacy text get --raw: %q, exit code %d", shown, code)
	}
}

// hz's line on a terminal never breaks, so that the next one can replace it.
func TestHzOnTerminal(t *testing.T) {
	ipctest.Store(t)
	pub := exec.Command("samepage", holderCommand, "steady=t")
	if err := pub.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pub.Process.Kill(); _ = pub.Wait() })
	shown, errs, code := onTerminal(t, "hz t --count 40 --window 30ms")
	lines := strings.Split(shown, "\n")
	progress := strings.Split(lines[0], "\r")
	if code != 0 || len(lines) != 2 || len(progress) < 3 {
		t.Fatalf("exit code %d, %q, %s", code, shown, errs)
	}
	for _, l := range progress[:len(progress)-1] {
		if n := len([]rune(l)); n > 39 {
			t.Errorf("a line of %d columns on a terminal of 40: %q", n, l)
		}
	}
}
