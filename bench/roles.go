package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// A subject's work is done in processes of its own: this program again, with the
// name of a role in its environment. A role gets ready, says so, and begins when it
// is told to.
const roleEnv = "SAMEPAGE_BENCH_ROLE"

// order is what a role is told, as one line of JSON.
type order struct {
	Name    string  // prefix of the names of its objects, fresh for each run
	First   bool    // of two processes: the one that makes them
	Seconds float64 // how long to measure,
	Count   int     // or how many operations
	Asleep  bool    // see pair
}

// role prepares, calls ready, and then returns nanoseconds an operation.
type role func(o order, ready func() error) (float64, error)

// runRole is main in a process that plays a role.
func runRole(name string, in io.Reader, out io.Writer) error {
	f := roles[name]
	if f == nil {
		return fmt.Errorf("no role %q", name)
	}
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.Join(io.ErrUnexpectedEOF, lines.Err())
	}
	var o order
	if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
		return err
	}
	if o.Asleep {
		runtime.GOMAXPROCS(1) // what follows from being bound, said for machines that do not bind
	}
	ready := func() error {
		if _, err := fmt.Fprintln(out, "ready"); err != nil {
			return err
		}
		if !lines.Scan() {
			return errors.Join(io.ErrUnexpectedEOF, lines.Err())
		}
		return nil
	}
	ns, err := f(o, ready)
	if err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	_, err = fmt.Fprintln(out, ns)
	return err
}

// player is a process that plays a role.
type player struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// play starts a process and waits until it is ready.
func (b *bench) play(name string, o order) (*player, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"="+name, "SAMEPAGE_DIR="+b.memory)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(cmd, o); err != nil {
		return nil, err
	}
	p := &player{cmd, in, bufio.NewReader(out)}
	line, err := json.Marshal(o)
	if err == nil {
		_, err = fmt.Fprintf(in, "%s\n", line)
	}
	if err == nil {
		_, err = p.out.ReadString('\n')
	}
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func start(cmd *exec.Cmd, o order) error {
	switch {
	case !o.Asleep || runtime.NumCPU() < 2:
		return cmd.Start()
	case o.First:
		return onCPU(0, cmd.Start)
	}
	return onCPU(1, cmd.Start)
}

func (p *player) begin() error {
	_, err := fmt.Fprintln(p.in, "go")
	return err
}

func (p *player) result() (ns float64, err error) {
	if _, err := fmt.Fscan(p.out, &ns); err != nil {
		return 0, errors.Join(err, p.stop())
	}
	return ns, p.cmd.Wait()
}

func (p *player) stop() error {
	_ = p.cmd.Process.Kill()
	return p.cmd.Wait()
}

// alone is a role played by one process.
type alone string

func (a alone) String() string { return string(a) }

func (a alone) measure(b *bench) (float64, error) {
	b.names++
	p, err := b.play(string(a), order{Name: fmt.Sprintf("bench%d", b.names), First: true, Seconds: b.seconds})
	if err != nil {
		return 0, err
	}
	if err := p.begin(); err != nil {
		return 0, errors.Join(err, p.stop())
	}
	return p.result()
}

// pair is a role played by two processes, which exchange something a counted
// number of times. With asleep they are bound to CPUs 0 and 1. A process that has one
// CPU does not spin: so both sleep at once, on CPUs apart, as in the limits.
type pair struct {
	role   string
	asleep bool
}

func (a pair) String() string { return fmt.Sprintf("%s %v", a.role, a.asleep) }

// sample is how many exchanges tell how long one takes, roughly.
const sample = 2000

func (a pair) measure(b *bench) (float64, error) {
	length := b.length[a.String()]
	if length == 0 {
		var err error
		if length, err = a.exchange(b, sample); err != nil {
			return 0, err
		}
	}
	ns, err := a.exchange(b, max(sample, int(b.seconds*1e9/length)))
	b.length[a.String()] = ns
	return ns, err
}

func (a pair) exchange(b *bench, count int) (float64, error) {
	b.names++
	o := order{Name: fmt.Sprintf("bench%d", b.names), First: true, Count: count, Asleep: a.asleep}
	first, err := b.play(a.role, o)
	if err != nil {
		return 0, err
	}
	o.First = false
	second, err := b.play(a.role, o)
	if err != nil {
		return 0, errors.Join(err, first.stop())
	}
	err = errors.Join(second.begin(), first.begin())
	if err != nil {
		return 0, errors.Join(err, first.stop(), second.stop())
	}
	ns, err := first.result()
	if err != nil {
		return 0, errors.Join(err, second.stop())
	}
	_, err = second.result()
	return ns, err
}

// repeat calls f for so many seconds, after a tenth of that to warm up, and tells
// how many nanoseconds a call took. f does a thousand operations.
func repeat(seconds float64, f func() error) (float64, error) {
	length := time.Duration(seconds * float64(time.Second))
	if _, err := repeatFor(length/10, f); err != nil {
		return 0, err
	}
	return repeatFor(length, f)
}

func repeatFor(length time.Duration, f func() error) (float64, error) {
	begun := time.Now()
	for n := 1; ; n++ {
		if err := f(); err != nil {
			return 0, err
		}
		if t := time.Since(begun); t >= length {
			return float64(t.Nanoseconds()) / float64(n) / 1000, nil
		}
	}
}
