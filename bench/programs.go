package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

//go:embed limits peers
var sources embed.FS

// bench is one run of this command: a folder for the programs and one for the shared memory.
type bench struct {
	seconds  float64
	programs string
	memory   string
	names    int             // given out so far
	count    map[pair]int    // how many exchanges fill a block, of the pairs measured so far
	built    map[string]bool // programs
}

func newBench(seconds float64) (*bench, error) {
	b := &bench{seconds: seconds, count: map[pair]int{}, built: map[string]bool{}}
	if err := b.makeDirs(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) makeDirs() (err error) {
	if b.programs, err = os.MkdirTemp("", "samepage-bench-"); err != nil {
		return err
	}
	parent := ""
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		parent = "/dev/shm"
	}
	b.memory, err = os.MkdirTemp(parent, "samepage-bench-")
	return err
}

func (b *bench) close() {
	for _, dir := range []string{b.programs, b.memory} {
		// Windows removes no file that a process that has just ended still has open.
		for n := 0; dir != "" && n < 20 && os.RemoveAll(dir) != nil; n++ {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// fresh returns a name that no other measurement on this machine uses.
func (b *bench) fresh() string {
	b.names++
	return fmt.Sprintf("samepage-bench-%d-%d", os.Getpid(), b.names)
}

// errMissing is wrapped by the error about what this machine lacks.
var errMissing = errors.New("not here")

func missing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errMissing, fmt.Sprintf(format, args...))
}

// compileLimits builds all programs of the folder limits.
func (b *bench) compileLimits(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return missing("the limits are programs for Linux, not %s", runtime.GOOS)
	}
	files, err := fs.Glob(sources, "limits/*.c")
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := b.compile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// compile builds one program, once. The flags come after the source, as libraries must.
func (b *bench) compile(ctx context.Context, source string, flags ...string) error {
	name := programOf(source)
	if b.built[name] {
		return nil
	}
	compiler, packages := "gcc", "gcc libc6-dev"
	if filepath.Ext(source) == ".cpp" {
		compiler, packages = "g++", "g++"
	}
	path, err := exec.LookPath(compiler)
	if err != nil {
		return missing("%s is not installed (apt install %s)", compiler, packages)
	}
	src := filepath.Join(b.programs, "src")
	if _, err := os.Stat(src); err != nil {
		if err := os.CopyFS(src, sources); err != nil {
			return err
		}
	}
	args := append([]string{"-O2", "-pthread", "-o", filepath.Join(b.programs, name), filepath.Join(src, source)}, flags...)
	if said, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", compiler, source, err, said)
	}
	b.built[name] = true
	return nil
}

func programOf(source string) string {
	return strings.TrimSuffix(filepath.Base(source), filepath.Ext(source))
}

// program is a C program of the folder limits, or a C++ program of the folder peers, with
// its arguments.
type program struct {
	name string
	args []string
}

func cProgram(name string, args ...string) program { return program{name, args} }

func (p program) String() string { return strings.Join(append([]string{p.name}, p.args...), " ") }

// measure runs the program. It prints "name value unit", and then perhaps the p50 and the p99
// of single operations, or "fresh" and the share of reads that found a new value.
func (p program) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	args := append([]string{"-seconds", strconv.FormatFloat(seconds, 'f', -1, 64)}, p.args...)
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, p.name), args...)
	cmd.WaitDelay = 30 * time.Second // a program's child may hold the pipe a little longer
	var said bytes.Buffer            // iceoryx says much that is of no use when all went well
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%v: %w: %s", p, err, bytes.TrimSpace(said.Bytes()))
	}
	f := strings.Fields(string(text))
	if len(f) != 3 && len(f) != 5 {
		return sample{}, fmt.Errorf("%v printed %q, want a name, a value and a unit", p, text)
	}
	if len(f) == 5 && f[3] == "fresh" {
		mean, err := strconv.ParseFloat(f[1], 64)
		share, unread := strconv.ParseFloat(f[4], 64)
		if err = errors.Join(err, unread); err != nil {
			return sample{}, fmt.Errorf("%v printed %q: %w", p, text, err)
		}
		return freshValues(mean, share, leastFreshInC), nil
	}
	var s sample
	for at, v := range map[int]*float64{1: &s.Mean, 3: &s.P50, 4: &s.P99} {
		if at < len(f) {
			if *v, err = strconv.ParseFloat(f[at], 64); err != nil {
				return sample{}, fmt.Errorf("%v printed %q: %w", p, text, err)
			}
		}
	}
	return s, nil
}
