package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

//go:embed limits/*.c
var limitSources embed.FS

// measurer measures one block of b.seconds, and tells its mean.
type measurer interface {
	measure(b *bench) (float64, error)
	String() string
}

// bench is one run of this command: a place for the programs and one for the
// shared memory.
type bench struct {
	seconds  float64
	programs string
	memory   string
	names    int                // given out so far
	length   map[string]float64 // of one operation, of the subjects that count them
}

func newBench(seconds float64) (*bench, error) {
	b := &bench{seconds: seconds, length: map[string]float64{}}
	err := b.makeDirs()
	if err == nil {
		err = b.compile()
	}
	if err != nil {
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
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
}

// compile builds the limits.
func (b *bench) compile() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the limits are programs for Linux, not %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return fmt.Errorf("the limits are C programs: install gcc and the C library's headers (apt install gcc libc6-dev): %w", err)
	}
	sources, err := limitSources.ReadDir("limits")
	if err != nil {
		return err
	}
	for _, s := range sources {
		text, err := limitSources.ReadFile("limits/" + s.Name())
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(s.Name(), ".c")
		cmd := exec.Command(gcc, "-O2", "-pthread", "-x", "c", "-", "-o", filepath.Join(b.programs, name))
		cmd.Stdin = strings.NewReader(string(text))
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gcc %s: %w\n%s", s.Name(), err, said)
		}
	}
	return nil
}

// limit is a C program of the folder limits, with its arguments.
type limit struct {
	program string
	args    []string
}

// The limits that subjects are held against.
var (
	spin          = limit{"spinpingpong", nil}
	futexPingPong = limit{"futexpingpong", nil}
	robustMutex   = limit{"robustmutex", nil}
	robustBaton   = limit{"mutexhandover", []string{"-baton", "1"}}
)

func (l limit) String() string { return strings.Join(append([]string{l.program}, l.args...), " ") }

// measure runs the program, whose only line is "name value unit".
func (l limit) measure(b *bench) (float64, error) {
	args := append([]string{"-seconds", strconv.FormatFloat(b.seconds, 'f', -1, 64)}, l.args...)
	cmd := exec.Command(filepath.Join(b.programs, l.program), args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%v: %w", l, err)
	}
	f := strings.Fields(string(text))
	if len(f) != 3 {
		return 0, fmt.Errorf("%v printed %q, want a name, a value and a unit", l, text)
	}
	return strconv.ParseFloat(f[1], 64)
}
