package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"samepage/internal/ipctest"
)

// raceOptions keep a program with the race detector from sleeping for a second at its end: many
// short commands would add that up.
const raceOptions = "atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", raceOptions)
	testscript.Main(tests{m}, programs)
}

// programs are the programs that this test binary is, by their names.
var programs = map[string]func(){"samepage": main, "answer": answer}

// answer is a program that answers calls. Its argument says how.
func answer() {
	in, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "upper":
		_, _ = os.Stdout.Write(bytes.ToUpper(in))
	case "fail":
		fmt.Fprintln(os.Stderr, "no such picture")
		os.Exit(7)
	case "large":
		_, _ = os.Stdout.Write(make([]byte, 2000))
	case "env":
		fmt.Println(os.Getenv(os.Args[2]))
	case "hang":
		time.Sleep(time.Hour)
	}
}

// tests removes testscript's copy of this program itself. testscript uses os.RemoveAll for
// that, which fails under Wine.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	if exe, err := exec.LookPath("samepage"); err == nil {
		bin := filepath.Dir(exe)
		for name := range programs {
			_ = os.Remove(filepath.Join(bin, name+filepath.Ext(exe)))
		}
		_ = os.Remove(bin)
		_ = os.Remove(filepath.Dir(bin))
	}
	return code
}

// TestScript runs the scripts in testdata/script, each with objects of its own.
func TestScript(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	testscript.Run(t, testscript.Params{
		Dir:         filepath.Join("testdata", "script"),
		WorkdirRoot: ipctest.Dir(t),
		Setup: func(e *testscript.Env) error {
			own, err := os.MkdirTemp(store, "")
			if err != nil {
				return err
			}
			e.Setenv("SAMEPAGE_DIR", own)
			e.Setenv("GORACE", raceOptions)
			// The names of existing programs are the same for all tests.
			for script, name := range map[string]string{
				"legacy_text": "ZJ", "legacy_baseimage": "BaseImage", "legacy_earseimage": "EarseImage",
			} {
				if strings.HasSuffix(e.WorkDir, "script-"+script) {
					release, err := ipctest.TakeTurn(name)
					if err != nil {
						return err
					}
					e.Defer(release)
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"until":   until,
			"shows":   shows,
			"code":    code,
			"replace": replace,
		},
	})
}

// replace FILE OLD NEW replaces bytes in a file by others, as a disk may do.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || len(args[1]) != len(args[2]) {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	if !bytes.Contains(b, []byte(args[1])) {
		ts.Fatalf("%s does not have %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(b, []byte(args[1]), []byte(args[2])), 0o600))
}

// code N COMMAND... runs a command whose exit code must be N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = strings.TrimPrefix(exit.Error(), "exit status ")
	} else if err != nil {
		got = err.Error()
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// until COMMAND... repeats a command until it succeeds; ! until, until it fails.
func until(ts *testscript.TestScript, neg bool, args []string) {
	again(ts, args, func(err error) bool { return (err == nil) != neg })
}

// shows PATTERN COMMAND... repeats a command until it succeeds and its standard output
// matches.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: shows PATTERN COMMAND...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	again(ts, args[1:], func(err error) bool { return err == nil && pattern.MatchString(ts.ReadFile("stdout")) })
}

// again repeats a command until its result is right.
func again(ts *testscript.TestScript, args []string, right func(error) bool) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if right(err) {
			return
		}
		if time.Since(begin) > ipctest.Patience {
			ts.Fatalf("%q: still %v, standard output %q", args, err, ts.ReadFile("stdout"))
		}
	}
}

// command runs the command to its end.
func command(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	c := exec.Command("samepage", args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// files counts the files below a directory.
func files(t testing.TB, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
