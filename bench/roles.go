package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// Processes of their own do the work of a subject. Each runs this program with the name of a
// role in its environment. It prepares, says that it is ready, and begins when it is told to.
const roleEnv = "SAMEPAGE_BENCH_ROLE"

// order is what a process gets, as one line of JSON.
type order struct {
	Name    string  // prefix of the names of its objects, fresh for each run
	Dir     string  // for its sockets
	First   bool    // in a pair: the process that is ready before the other starts
	Seconds float64 // how long to measure
	Count   int     // how many operations, if they are counted
	Size    int     // of a message
	Whole   bool    // each message is written whole and read whole; otherwise its first line
	Bind    binding
	Procs   int // GOMAXPROCS
}

// binding says when a process of a pair is bound to a CPU: the first one to CPU 0, and the
// second one to CPU 1, as the processes of the limits are. On one CPU, two that spin would wait
// for each other, and a wake would cost less than between two.
type binding string

const (
	unbound binding = ""
	// late binds all threads of a process after all objects are open, just before the
	// measurement. It is for those that poll. The process started with all CPUs, as a user's
	// does; otherwise it would not poll.
	late binding = "late"
	// early binds a process at its start. It is for those that sleep. A process that has one CPU
	// does not poll before it sleeps.
	early binding = "early"
)

// cpu is the number of the CPU of a process that is bound.
func (o order) cpu() int {
	if o.First {
		return 0
	}
	return 1
}

// role prepares, calls ready, and then returns how long an operation took. In a pair, the
// process that does not measure returns a zero sample.
type role func(o order, ready func() error) (sample, error)

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
	if o.Procs > 0 {
		runtime.GOMAXPROCS(o.Procs) // the runtime would follow the number of CPUs
	}
	ready := func() error {
		if _, err := fmt.Fprintln(out, "ready"); err != nil {
			return err
		}
		if !lines.Scan() {
			return errors.Join(io.ErrUnexpectedEOF, lines.Err())
		}
		if o.Bind == late {
			return bindProcess(o.cpu())
		}
		return nil
	}
	s, err := f(o, ready)
	if err != nil {
		return fmt.Errorf("role %s: %w", name, err)
	}
	return json.NewEncoder(out).Encode(s)
}

// player is a process that plays a role.
type player struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said *bytes.Buffer // on standard error
}

// play starts a process, which inherits the files, and waits until it is ready.
func (b *bench) play(ctx context.Context, name string, o order, files ...*os.File) (*player, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o.Dir = b.programs
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleEnv+"="+name, "SAMEPAGE_DIR="+b.memory)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.ExtraFiles = files
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
	p := &player{cmd, in, bufio.NewReader(out), &said}
	line, err := json.Marshal(o)
	if err == nil {
		_, err = fmt.Fprintf(in, "%s\n", line)
	}
	if err == nil {
		_, err = p.out.ReadString('\n')
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

func start(cmd *exec.Cmd, o order) error {
	if o.Bind != early || runtime.NumCPU() < 2 {
		return cmd.Start()
	}
	return onCPU(o.cpu(), cmd.Start)
}

func (p *player) begin() error {
	_, err := fmt.Fprintln(p.in, "go")
	return err
}

// result waits until the player has told its sample, and has ended. It does not wait for the end
// of a player that was cut: under Wine its standard error may stay open until the other one ends.
func (p *player) result() (s sample, err error) {
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	switch {
	case err != nil:
		return s, p.failed(err)
	case s.Cut:
		return s, nil
	}
	return s, p.cmd.Wait()
}

// failed ends a player that failed, and returns an error with what it printed.
func (p *player) failed(err error) error {
	if failed := p.end(); p.said.Len() > 0 {
		err = failed // standard error says more than the missing output
	}
	return fmt.Errorf("%w: %s", err, bytes.TrimSpace(p.said.Bytes()))
}

// end ends a player that has not ended yet.
func (p *player) end() error {
	if p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.cmd.Process.Kill()
	return p.cmd.Wait()
}

// alone is a role played by one process.
type alone string

func (a alone) String() string { return string(a) }

func (a alone) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	return crowd{string(a), 1}.measure(ctx, b, seconds)
}

// solo runs a role in one process.
func (b *bench) solo(ctx context.Context, role string, o order) (sample, error) {
	p, err := b.play(ctx, role, o)
	if err != nil {
		return sample{}, err
	}
	defer p.end() // if begin fails
	if err := p.begin(); err != nil {
		return sample{}, err
	}
	return p.result()
}

// crowd is a role played by several processes at once, which share one name. The sample is
// the mean of their samples.
type crowd struct {
	role string
	n    int
}

func (c crowd) String() string { return fmt.Sprintf("%s, %d", c.role, c.n) }

func (c crowd) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	o := order{Name: b.fresh(), First: true, Seconds: seconds}
	var players []*player
	for range c.n {
		p, err := b.play(ctx, c.role, o)
		if err != nil {
			return sample{}, err
		}
		defer p.end() // where another one fails
		players = append(players, p)
		o.First = false
	}
	for _, p := range players {
		if err := p.begin(); err != nil {
			return sample{}, err
		}
	}
	var mean sample
	for _, p := range players {
		s, err := p.result()
		if err != nil {
			return sample{}, err
		}
		mean.Mean += s.Mean / float64(c.n)
	}
	return mean, nil
}

// pair is a role played by two processes, which exchange something. They do it a fixed number
// of times, or for a time if timed is set.
type pair struct {
	role  string
	size  int  // of a message
	whole bool // each message is written whole and read whole
	bind  binding
	procs int  // GOMAXPROCS; 0: as many as the machine has CPUs, as in a process that is not bound
	pipes bool // they inherit a pipe in each direction, to read from and to write to
	timed bool
}

func (a pair) String() string {
	s := fmt.Sprintf("%s %d", a.role, a.size)
	if a.whole {
		s += ", whole"
	}
	return s
}

// few is the number of exchanges with which the search for the count of a block begins.
const few = 20

func (a pair) measure(ctx context.Context, b *bench, seconds float64) (s sample, err error) {
	if a.timed {
		return a.exchange(ctx, b, 0, seconds)
	}
	count := b.count[a]
	for n := few; count == 0 && n < 1e9; n *= 20 {
		if s, err = a.exchange(ctx, b, n, seconds); err != nil {
			return s, err
		}
		if s.Mean <= 0 { // the clock has not moved
			continue
		}
		if enough := int(seconds * 1e9 / s.Mean); n*10 >= enough {
			count = max(few, enough)
		}
	}
	if s, err = a.exchange(ctx, b, count, seconds); err == nil && s.Mean <= 0 {
		err = fmt.Errorf("role %s told no figure", a.role)
	}
	if err == nil {
		b.count[a] = max(few, int(seconds*1e9/s.Mean))
	}
	return s, err
}

func (a pair) exchange(ctx context.Context, b *bench, count int, seconds float64) (sample, error) {
	o := order{
		Name: b.fresh(), First: true, Count: count, Seconds: seconds, Size: a.size, Whole: a.whole, Bind: a.bind,
		Procs: cmp.Or(a.procs, runtime.NumCPU()),
	}
	var ends [2][]*os.File
	if a.pipes {
		for i := range 2 {
			r, w, err := os.Pipe()
			if err != nil {
				return sample{}, err
			}
			defer r.Close()
			defer w.Close()
			ends[i] = append([]*os.File{r}, ends[i]...)
			ends[1-i] = append(ends[1-i], w)
		}
	}
	first, err := b.play(ctx, a.role, o, ends[0]...)
	if err != nil {
		return sample{}, err
	}
	defer first.end() // where the other one fails
	o.First = false
	second, err := b.play(ctx, a.role, o, ends[1]...)
	if err != nil {
		return sample{}, err
	}
	defer second.end()
	if err := errors.Join(second.begin(), first.begin()); err != nil {
		return sample{}, err
	}
	s1, err := first.result()
	if err != nil {
		return sample{}, err
	}
	if s1.Cut {
		s1.Cut = false
		_ = second.end() // it waits for the first one
		return s1, nil
	}
	s2, err := second.result()
	if s1.Mean == 0 {
		s1 = s2
	}
	return s1, err
}

// The parts that roles use.

// repeat calls f for so many seconds, and before that for a tenth of this time to warm up. It
// returns how many nanoseconds of wall clock and of CPU a call took. f does a thousand
// operations.
func repeat(seconds float64, f func() error) (wall, cpu float64, err error) {
	length := time.Duration(seconds * float64(time.Second))
	for _, length := range []time.Duration{length / 10, length} {
		before, unknown := cpuTime()
		begun := time.Now()
		n, t := 0, time.Duration(0)
		for ; t < length; t = time.Since(begun) {
			if err := f(); err != nil {
				return 0, 0, err
			}
			n += 1000
		}
		wall = float64(t.Nanoseconds()) / float64(n)
		cpu = 0
		if unknown == nil {
			after, err := cpuTime()
			if err != nil {
				return 0, 0, err
			}
			cpu = float64((after - before).Nanoseconds()) / float64(n)
		}
	}
	return wall, cpu, nil
}

// trips does o.Count exchanges (a round trip is two), and then some that are timed one by one.
// Both processes of a pair call it. For one of them trip goes there and back, for the other it
// answers. trips returns how long one way took.
//
// The count comes from a run before. If an exchange takes much longer now, the first process ends
// early, and so the other one is ended.
func trips(o order, trip func() error) (s sample, err error) {
	end := time.Now().Add(time.Duration(mostBlocks * max(o.Seconds, 0.01) * float64(time.Second)))
	// several calls trip n times. It returns how often it did, and how long that took.
	several := func(n int) (done int, took time.Duration, err error) {
		step := max(1, n/64)
		begun := time.Now()
		for done < n && !s.Cut {
			for range min(step, n-done) {
				if err := trip(); err != nil {
					return done, 0, err
				}
			}
			done += min(step, n-done)
			now := time.Now()
			took = now.Sub(begun)
			s.Cut = o.First && now.After(end)
		}
		return done, took, nil
	}
	n, warmUp, singles := o.trips()
	done, took, err := several(warmUp)
	if err == nil && !s.Cut {
		done, took, err = several(n)
	}
	if err != nil || s.Cut {
		s.Mean = each(took, 2*max(done, 1))
		return s, err
	}
	s.Mean = each(took, 2*done)
	single := make([]float64, singles)
	last := time.Now()
	for i := range single {
		if err := trip(); err != nil {
			return sample{}, err
		}
		at := time.Now()
		single[i] = float64(at.Sub(last).Nanoseconds()) / 2
		last = at
		if s.Cut = o.First && at.After(end); s.Cut {
			single = single[:i+1]
			break
		}
	}
	slices.Sort(single)
	s.P50, s.P99 = quantile(single, 0.5), quantile(single, 0.99)
	return s, nil
}

// passing is trips of numbered messages. In each exchange the first process puts a message and
// takes the answer, and the other one takes and puts.
func passing(o order, put, take func(n int) error) (sample, error) {
	if !o.First {
		put, take = take, put
	}
	n := 0
	return trips(o, func() error {
		n++
		if err := put(n); err != nil {
			return err
		}
		return take(n)
	})
}

// trips says how many exchanges trips does: in the block, before it, and after it one by one.
func (o order) trips() (block, before, single int) {
	block = max(1, o.Count/2)
	return block, block / 10, min(max(1, block/4), 4096)
}

// mostBlocks is how many times longer than planned an exchange may take.
const mostBlocks = 5

// arrivals receives o.Count messages, after some more to warm up, and returns how long one
// took. The reader of a stream calls it; the other process sends arriving(o) messages.
func arrivals(o order, receive func() error) (sample, error) {
	for range arriving(o) - o.Count {
		if err := receive(); err != nil {
			return sample{}, err
		}
	}
	begun := time.Now()
	for range o.Count {
		if err := receive(); err != nil {
			return sample{}, err
		}
	}
	return sample{Mean: each(time.Since(begun), o.Count)}, nil
}

// each is how long one of n took, in nanoseconds. If the clock has not moved yet, it returns
// one nanosecond for all, so that the search for the count goes on.
func each(t time.Duration, n int) float64 { return float64(max(t, 1)) / float64(n) }

func arriving(o order) int { return o.Count + o.Count/10 + 64 }

// use is for sums of readLines that nobody looks at. Without it the compiler would leave out the
// reading.
//
//go:noinline
func use(byte) {}

// readLines reads a byte of each cache line of a message, as the limits do.
func readLines(message []byte) (sum byte) {
	for i := 0; i < len(message); i += 64 {
		sum += message[i]
	}
	return sum
}

// fill writes a whole message, as the limits do.
func fill(message []byte, n int) {
	clear(message)
	message[0] = byte(n)
}

// Of a message that is written whole, all bytes behind the first one are 0. So the sum of the bytes
// that readLines reads is the first byte, and says whether this is the message that was sent.

// check reads a whole message, the nth.
func check(message []byte, n int) error {
	if sum := readLines(message); sum != byte(n) {
		return fmt.Errorf("message %d has the sum %d", n, sum)
	}
	return nil
}
