package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// running is a command that runs beside the test.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.ReadCloser
	err transcript
}

// transcript is what a process has written so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func startProcess(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{t: t, cmd: exec.Command("samepage", args...)}
	ownGroup(p.cmd)
	var err, err2 error
	p.in, err = p.cmd.StdinPipe()
	p.out, err2 = p.cmd.StdoutPipe()
	p.cmd.Stderr = &p.err
	if err := errors.Join(err, err2, p.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

// want waits for the end and compares the exit code and standard error with the expected ones.
func (p *running) want(code int, says string) {
	p.t.Helper()
	late := time.AfterFunc(ipctest.Patience, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	late.Stop()
	if got := p.cmd.ProcessState.ExitCode(); got != code || !strings.Contains(p.err.String(), says) {
		p.t.Errorf("%v: exit code %d, want %d, and %q on standard error: %s", p.cmd.Args, got, code, says, p.err.String())
	}
}

// says waits until the process, which goes on, has written a text to standard error.
func (p *running) says(text string) {
	p.t.Helper()
	for begun := time.Now(); !strings.Contains(p.err.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > ipctest.Patience {
			p.t.Fatalf("%v: no %q on standard error: %s", p.cmd.Args, text, p.err.String())
		}
	}
}

// line reads a line of the output of the process.
func (p *running) line(r *bufio.Reader) string {
	p.t.Helper()
	l, err := r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%v: %v, %s", p.cmd.Args, err, p.err.String())
	}
	return strings.TrimRight(l, "\r\n")
}

func subscribers(t *testing.T, topic string, n int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		got := 0
		if st, err := pubsub.Inspect(topic, nil); err == nil {
			for _, m := range st.Members {
				if m.Role == pubsub.Reliable && m.Alive {
					got++
				}
			}
		}
		if got == n {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("topic %s has %d reliable subscribers, want %d", topic, got, n)
		}
	}
}

// Either end may start first, and says what it waits for.
func TestWaitsForTheOther(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, first := range []string{"sub", "pub"} {
		var sub, pub *running
		if first == "sub" {
			sub = startProcess(t, "sub", "t")
			sub.says("samepage: waiting for topic t\n")
			pub = startProcess(t, "pub", "t")
		} else {
			pub = startProcess(t, "pub", "t")
			pub.says("samepage: waiting for 1 reliable subscriber: samepage sub t (--wait 0 does not wait)\n")
			sub = startProcess(t, "sub", "t")
		}
		fmt.Fprintln(pub.in, "one")
		if err := pub.in.Close(); err != nil {
			t.Fatal(err)
		}
		if l := sub.line(bufio.NewReader(sub.out)); l != "one" {
			t.Errorf("%s first: sub wrote %q", first, l)
		}
		pub.want(0, "published to t: 1 message, 3 B")
		sub.want(0, "")
	}
}

// One line at a time passes through, and Ctrl-C ends the stream properly.
func TestPubInterrupted(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	sub := startProcess(t, "sub", "t")
	pub := startProcess(t, "pub", "t", "--batch", "10")
	out := bufio.NewReader(sub.out)
	for i := range 5 {
		fmt.Fprintln(pub.in, "line", i)
		if l := sub.line(out); l != fmt.Sprint("line ", i) {
			t.Fatal(l)
		}
	}
	if err := interrupt(pub.cmd); err != nil {
		t.Skip("no Ctrl-C can be sent here: ", err)
	}
	pub.want(130, "published to t: 5 messages")
	sub.want(0, "")
}

// A publisher whose input is bad or cut says so. Its subscriber does not take the part for the
// whole: in every form it writes the complete messages, and then ends with an error.
func TestPubCutInput(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const header, pictures = "YUV4MPEG2 W2 H2 F25:1\n", "FRAME\nabcdefFRAME\nghijkl"
	for _, x := range []struct {
		name     string
		args     []string
		in       string
		says     string
		sub      []string
		has      string
		messages int
	}{
		{"picture", []string{"--y4m"}, header + pictures + "FRAME\nabc", "picture 3: unexpected EOF", []string{"--raw"}, "ghij", 2},
		{"line of a picture", []string{"--y4m"}, header + pictures + "FRA", "picture 3: unexpected EOF", []string{"--y4m"}, pictures, 2},
		{"no picture", []string{"--y4m"}, header + pictures + "frame\nabcdef", "bad YUV4MPEG2 stream", []string{"--y4m"}, pictures, 2},
		{"larger pictures", []string{"--y4m"}, header + "FRAME\nabcdefghijklFRAME\n", "bad YUV4MPEG2 stream", []string{"--y4m"}, "abcdef", 1},
		{"record", []string{"--record", "4"}, "abcdefghij", "record 3 ends after 2 of its 4 bytes", []string{"--raw"}, "abcdefgh", 2},
		{"records at once", []string{"--record", "4", "--batch", "8"}, "abcdefghij", "record 3 ends after 2 of its 4 bytes", []string{"--hex"}, "65666768", 2},
		{"line", []string{"--size", "5"}, "one\ntwo\nmore than five\nfour\n", "line 3 has 14 bytes", nil, "one\ntwo\n", 2},
		{"json", []string{"--size", "5"}, "one\ntwo\nmore than five\n", "line 3 has 14 bytes", []string{"--json"}, "two", 2},
	} {
		topic := strings.ReplaceAll(x.name, " ", "-")
		sub := startProcess(t, append([]string{"sub", topic}, x.sub...)...)
		written := make(chan string, 1)
		go func() {
			b, _ := io.ReadAll(sub.out)
			written <- string(b)
		}()
		pub := startProcess(t, append([]string{"pub", topic}, x.args...)...)
		if _, err := io.WriteString(pub.in, x.in); err != nil {
			t.Fatal(err)
		}
		if err := pub.in.Close(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, pub.out)
		_ = pub.cmd.Wait()
		if pub.cmd.ProcessState.Success() || !strings.Contains(pub.err.String(), x.says) || !strings.Contains(pub.err.String(), fmt.Sprintf("%d message", x.messages)) {
			t.Errorf("%s: pub ends with %v and says %s", x.name, pub.cmd.ProcessState, pub.err.String())
		}
		if got := <-written; !strings.Contains(got, x.has) {
			t.Errorf("%s: sub has written %q, want %q in it", x.name, got, x.has)
		}
		sub.want(8, "gave up its stream before the end")
	}
}

// Samples that no format has are refused before anything is published: they are not taken for
// 4:2:0.
func TestPubOtherSamples(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, header := range []string{"XYSCSS=440", "XYSCSS=444P11", "C440", "C411p10", "C444alphap10", "Cmono14"} {
		cmd := exec.Command("samepage", "pub", "t", "--y4m", "--wait", "0")
		cmd.Stdin = strings.NewReader("YUV4MPEG2 W4 H2 " + header + "\nFRAME\n" + strings.Repeat("a", 12) + "FRAME\n" + strings.Repeat("a", 12))
		b, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(b), header) || !strings.Contains(string(b), "-pix_fmt yuv420p") || strings.Contains(string(b), "published") {
			t.Errorf("%s: %v, %s", header, err, b)
		}
	}
}

// If one end dies, the other end waits no longer than it takes to notice that.
func TestPubKilled(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	sub := startProcess(t, "sub", "t")
	pub := startProcess(t, "pub", "t")
	fmt.Fprintln(pub.in, "one")
	if l := sub.line(bufio.NewReader(sub.out)); l != "one" {
		t.Fatal(l)
	}
	_ = pub.cmd.Process.Kill()
	sub.want(8, "has died")
}

func TestSubKilled(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	sub := startProcess(t, "sub", "t") // whose output nobody reads
	pub := startProcess(t, "pub", "t", "--depth", "2", "-q")
	go func() {
		for range 20_000 {
			if _, err := fmt.Fprintln(pub.in, "a line of some length"); err != nil {
				return
			}
		}
		_ = pub.in.Close()
	}()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) { // it does not begin for a dead one
		if st, err := pubsub.Inspect("t", nil); err == nil && st.Lanes[0].Messages > 0 {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("pub does not begin")
		}
	}
	_ = sub.cmd.Process.Kill()
	pub.want(0, "")
}

// One of two publishers dies: sub goes on, and reports that at the end.
func TestOneOfTwoDies(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	sub := startProcess(t, "sub", "t")
	a, b := startProcess(t, "pub", "t", "--publishers", "2"), startProcess(t, "pub", "t", "--publishers", "2")
	out := bufio.NewReader(sub.out)
	for _, p := range []*running{a, b} {
		fmt.Fprintln(p.in, "one")
		if l := sub.line(out); l != "one" {
			t.Fatal(l)
		}
	}
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if st, err := pubsub.Inspect("t", nil); err == nil && st.Lanes[0].Deaths+st.Lanes[1].Deaths > 0 {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("the death is not noticed")
		}
	}
	fmt.Fprintln(b.in, "two")
	if l := sub.line(out); l != "two" {
		t.Fatal(l)
	}
	sub.says("has died; there are others")
	_ = b.in.Close()
	b.want(0, "published")
	sub.want(8, "has died; there are others")
}

// The reader of sub's output may end early, as head does.
func TestSubOutputClosed(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	sub := startProcess(t, "sub", "t", "-q")
	pub := startProcess(t, "pub", "t")
	go func() {
		for range 20_000 {
			if _, err := fmt.Fprintln(pub.in, "a line of some length"); err != nil {
				return
			}
		}
		_ = pub.in.Close()
	}()
	sub.line(bufio.NewReaderSize(sub.out, 16))
	_ = sub.out.Close()
	sub.want(0, "")
	if sub.err.String() != "" {
		t.Errorf("it says %s", sub.err.String())
	}
	pub.want(0, "published to t: 20000 messages")
}

// If nobody reads the output of a sub, Ctrl-C still ends it. If the topic has --evict-after, the
// sub is evicted.
func TestSubStuck(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, evict := range []string{"0", "50ms"} {
		sub := startProcess(t, "sub", "t")
		pub := startProcess(t, "pub", "t", "--depth", "2", "--evict-after", evict)
		go func() {
			line := append(bytes.Repeat([]byte("x"), 1000), '\n')
			for range 3000 {
				if _, err := pub.in.Write(line); err != nil {
					return
				}
			}
			_ = pub.in.Close()
		}()
		if evict == "0" {
			subscribers(t, "t", 1)
			time.Sleep(200 * time.Millisecond) // for it to fill the pipe; it passes without as well
			if err := interrupt(sub.cmd); err == nil {
				sub.want(130, "interrupted")
			} else { // no Ctrl-C can be sent here
				_ = sub.cmd.Process.Kill()
			}
			pub.want(0, "published to t: 3000 messages")
			continue
		}
		pub.want(0, "1 subscriber evicted")
		_, _ = io.Copy(io.Discard, sub.out)
		sub.want(9, "evicted")
	}
}

// Lines, records and their ends.
func TestSources(t *testing.T) {
	long := strings.Repeat("x", sourceBuffer+10)
	for _, c := range []struct {
		name string
		s    source
		want []string
		err  string
	}{
		{"no lines", newLineSource(strings.NewReader(""), 9), nil, "EOF"},
		{"lines", newLineSource(strings.NewReader("a\n\nb\r\nc"), 9), []string{"a", "", "b\r", "c"}, "EOF"},
		{"long line", newLineSource(strings.NewReader("a\n"+long+"\nb\n"), len(long)), []string{"a", long, "b"}, "EOF"},
		{"long last line", newLineSource(strings.NewReader(long), len(long)), []string{long}, "EOF"},
		{"too long", newLineSource(strings.NewReader("a\n12345\n"), 4), []string{"a"}, "line 2 has 5 bytes, but a message of this topic has at most 4: "},
		{"much too long", newLineSource(strings.NewReader(long+long+"\n"), 4), nil, fmt.Sprintf("line 1 has %d bytes", 2*len(long))},
		{"much too long, last", newLineSource(strings.NewReader(long+long), 4), nil, fmt.Sprintf("line 1 has %d bytes", 2*len(long))},
		{"records", newRecordSource(strings.NewReader("abcdef"), 3, false), []string{"abc", "def"}, "EOF"},
		{"short record", newRecordSource(strings.NewReader("abcde"), 3, false), []string{"abc"}, "record 2 ends after 2 of its 3 bytes"},
		{"partial record", newRecordSource(strings.NewReader("abcde"), 3, true), []string{"abc", "de"}, "EOF"},
	} {
		var got []string
		var err error
		for {
			var b []byte
			if b, err = c.s.next(); err != nil {
				break
			}
			got = append(got, string(b))
		}
		if strings.Join(got, "|") != strings.Join(c.want, "|") || !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %.60q, %v", c.name, got, err)
		}
	}
	s := newLineSource(strings.NewReader("a\nb\nc"), 9)
	for i, want := range []bool{true, false, false} {
		if _, err := s.next(); err != nil || s.more() != want {
			t.Errorf("after line %d: more is %v, %v", i, !want, err)
		}
	}
}

// endless never provides any input.
type endless struct{}

func (endless) Read([]byte) (int, error) { select {} }

func TestFeed(t *testing.T) {
	text := strings.Repeat("some text", copyPiece/3)
	got, err := io.ReadAll(newFeed(t.Context(), strings.NewReader(text)))
	if err != nil || string(got) != text {
		t.Errorf("%d of %d bytes, %v", len(got), len(text), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := newFeed(ctx, endless{}).Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestMeter(t *testing.T) {
	m := meter{begun: time.Unix(100, 0)}
	if r := m.rates("t", time.Unix(101, 0)); r.Rate != 0 || r.line() != "no messages" {
		t.Errorf("%+v", r)
	}
	m.message(100, 0)
	for _, s := range []float64{0.1, 0.3, 0.1, 0.3} {
		m.message(100, 1)
		m.interval(s)
	}
	r := m.rates("t", time.Unix(102, 0))
	if r.Rate != 4.5 || r.Bandwidth != 450 || r.Messages != 5 || r.Missed != 4 {
		t.Errorf("%+v", r)
	}
	if want := "4.5/s, 450 B/s, intervals 100ms to 300ms, mean 200ms, jitter 100ms, 4 missed"; r.line() != want {
		t.Errorf("%s, want %s", r.line(), want)
	}
	for f, want := range map[float64]string{0.0125: "0.0125/s", 25: "25/s", 99.97: "100/s", 12345.6: "12346/s", 1.25e6: "1.25 M/s", 3e9: "3 G/s"} {
		if got := formatRate(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1234567: "1.23ms", 999: "999ns", 61234 * time.Millisecond: "1m1.2s", 0: "0s"} {
		if got := roundDuration(d).String(); !strings.HasPrefix(got, want) {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

// If the reader of standard output ends early, in whatever way, that is no error.
func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if _, err := w.WriteString("x"); !readerGone(err) {
		t.Error(err)
	}
	_ = w.Close()
	if readerGone(io.ErrShortWrite) || readerGone(nil) {
		t.Error("other errors count as well")
	}
}
