package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/frame"
	"samepage/pubsub"
)

type subOptions struct {
	subscription
	lines, raw, y4m, hex bool
	from                 pubsub.From
	bestEffort           bool
	count                uint64
	timeout              time.Duration // negative: none
	stats                bool
	fps                  frame.Ratio
}

// subscription is what sub and hz have in common.
type subscription struct {
	object
	quiet bool
}

func newSubCommand(a *app) *cobra.Command {
	o := subOptions{timeout: -1}
	c := &cobra.Command{
		Use:   "sub TOPIC",
		Short: "Write the messages of a topic to standard output",
		Long: `sub writes the messages of a topic to standard output: as lines; as they are
(--raw); as lines of hexadecimal digits (--hex); frames as a YUV4MPEG2 stream, for
ffmpeg and others (--y4m); or each as one line with a JSON object (--json). On a
terminal the control characters of a line are written as \x1b and the like, and of bytes
that are no text how many they are; --raw writes there, too, what there is.

It waits for the topic to be made, and ends when the last publisher ends its stream.
When the last publisher dies instead, or fails before the end of its input, the
exit code is 8. It is reliable unless
--best-effort says otherwise: then publishers do not wait for it, and what it missed
is told at the end. A topic made with --evict-after passes over whom it takes too
long: then the exit code is 9.

With --json a message is {"seq", "publisher", "time", "missed", "size", "text"}, in
which "data", in base64, takes the place of text that is not UTF-8. --stats then is
an object as well, on standard error.`,
		Example: `  samepage sub log | grep error
  samepage sub cam --y4m | ffplay -
  samepage sub samples --raw --from now --count 100 >samples.bin`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindTopic),
		RunE: func(c *cobra.Command, args []string) error {
			w, err := o.check(c, a)
			if err != nil {
				return err
			}
			return runSub(c.Context(), a, o, args[0], w)
		},
	}
	f := c.Flags()
	o.addTopicFlags(c)
	f.BoolVar(&o.lines, "lines", false, "write a line end behind each message (the default)")
	f.BoolVar(&o.raw, "raw", false, "write messages as they are, one behind the other")
	f.BoolVar(&o.y4m, "y4m", false, "write frames as a YUV4MPEG2 stream")
	f.BoolVar(&o.hex, "hex", false, "write hexadecimal digits, and a line end behind each message")
	f.Var(fpsFlag{&o.fps}, "fps", "frames a second that a YUV4MPEG2 stream is said to have, such as 25 or 30000:1001: frames do not tell")
	f.Var(fromFlag{&o.from}, "from", "begin with the oldest message that is still there, the newest one, or the next one")
	f.BoolVar(&o.bestEffort, "best-effort", false, "never keep a publisher waiting, miss messages instead")
	f.Uint64VarP(&o.count, "count", "n", 0, "end after so many messages; 0: with the stream")
	f.DurationVar(&o.timeout, "timeout", -1, "give up when there is no message for this long, such as 500ms or 2m")
	f.Lookup("timeout").DefValue = "0" // keeps "(default -1ns)" out of the help
	f.BoolVar(&o.stats, "stats", false, "tell at the end how much was read, on standard error")
	completeChoices(c, "from", "oldest", "newest", "now")
	return c
}

func (s *subscription) addTopicFlags(c *cobra.Command) {
	s.addFlags(c)
	c.Flags().BoolVarP(&s.quiet, "quiet", "q", false, "tell nothing on standard error but errors")
}

type fromFlag struct{ p *pubsub.From }

func (f fromFlag) String() string {
	if f.p == nil {
		return pubsub.FromOldest.String()
	}
	return f.p.String()
}

func (fromFlag) Type() string { return "oldest|newest|now" }

func (f fromFlag) Set(s string) error { return f.p.UnmarshalText([]byte(s)) }

// fpsFlag is a number of frames a second.
type fpsFlag struct{ p *frame.Ratio }

func (f fpsFlag) String() string {
	if f.p == nil || *f.p == (frame.Ratio{}) {
		return ""
	}
	return f.p.String()
}

func (fpsFlag) Type() string { return "ratio" }

func (f fpsFlag) Set(s string) error {
	num, den, two := strings.Cut(s, ":")
	if !two {
		den = "1"
	}
	n, err := strconv.ParseUint(num, 10, 31)
	d, err2 := strconv.ParseUint(den, 10, 31)
	if err != nil || err2 != nil || n == 0 || d == 0 {
		return errors.New("want a number or two, such as 25 or 30000:1001")
	}
	*f.p = frame.Ratio{Num: int(n), Den: int(d)}
	return nil
}

// check returns what writes the messages.
func (o *subOptions) check(c *cobra.Command, a *app) (messageWriter, error) {
	forms := 0
	for _, yes := range []bool{o.lines, o.raw, o.y4m, o.hex, a.json} {
		if yes {
			forms++
		}
	}
	switch {
	case forms > 1:
		return nil, usage(c, "--lines, --raw, --hex, --y4m and --json exclude each other")
	case c.Flags().Changed("timeout") && o.timeout < 0:
		return nil, usage(c, "--timeout %v is negative", o.timeout)
	}
	if c.Flags().Changed("fps") && !o.y4m {
		return nil, usage(c, "--fps is for --y4m")
	}
	switch {
	case o.raw:
		return writeRaw, nil
	case o.y4m && terminalOf(a.stdout) != nil:
		return nil, usage(c, "a YUV4MPEG2 stream is nothing for a terminal: send it to a file or a program")
	case o.y4m:
		return newFrameWriter(o.fps), nil
	case o.hex:
		return newHexWriter(), nil
	case a.json:
		return newJSONWriter(), nil
	case terminalOf(a.stdout) != nil:
		return writeShown, nil
	}
	return writeLine, nil
}

// await joins a topic, or waits for it.
func (s *subscription) await(ctx context.Context, a *app, name string, from pubsub.From, bestEffort bool) (*pubsub.Subscriber, error) {
	opts := &pubsub.SubscriberOptions{Scope: s.scope, Owner: s.owner, From: from, BestEffort: bestEffort}
	sub, err := pubsub.OpenSubscriber(name, opts)
	if !errors.Is(err, fs.ErrNotExist) {
		return sub, err
	}
	if !s.quiet {
		fmt.Fprintf(a.stderr, "samepage: waiting for topic %s\n", plain(name))
	}
	sub, err = pubsub.AwaitSubscriber(ctx, name, opts)
	return sub, s.notYet(samepage.KindTopic, name, err)
}

// received tells what a subscriber got.
type received struct {
	Topic    string  `json:"topic"`
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	Missed   uint64  `json:"missed"`
	Seconds  float64 `json:"seconds"` // from the first message to the last
	Rate     float64 `json:"rate"`    // messages a second
}

func (r received) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "took from %s: %s, %d missed\n", plain(r.Topic), traffic(r.Messages, r.Bytes, r.Seconds), r.Missed)
	return err
}

// patience is how long a command that was interrupted waits for a write that is
// under way.
const patience = 300 * time.Millisecond

func runSub(ctx context.Context, a *app, o subOptions, name string, write messageWriter) error {
	// Whoever reads the output may go before the end: that is told by an error
	// of the write, so that the topic is left in order.
	signal.Ignore(syscall.SIGPIPE)
	first, cancel := o.limit(ctx)
	s, err := o.await(first, a, name, o.from, o.bestEffort)
	cancel()
	if err != nil {
		return err
	}
	r := &receiving{ctx: ctx, a: a, o: &o, s: s, out: bufio.NewWriterSize(a.stdout, 64<<10), write: write}
	ended := make(chan error, 1)
	go func() { ended <- r.run() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(patience):
			// Nobody takes what is written. The subscriber is in use there, so it is
			// not closed: others give its place back when this process has ended.
			return ctx.Err()
		}
	}
	return errors.Join(err, r.tell(), s.Close())
}

// limit is ctx with the --timeout.
func (o *subOptions) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, o.timeout)
}

// receiving is a run of sub.
type receiving struct {
	ctx   context.Context
	a     *app
	o     *subOptions
	s     *pubsub.Subscriber
	out   *bufio.Writer
	write messageWriter

	bytes       uint64
	first, last time.Time
	spoilt      error // the first message that was not what it should be
}

func (r *receiving) run() error {
	err := r.messages()
	if ferr := r.out.Flush(); err == nil {
		err = ferr
	}
	switch {
	case readerGone(err):
		err = nil
	case err == nil:
		err = r.spoilt
	}
	return err
}

func (r *receiving) messages() error {
	var q quit
	for n := uint64(0); r.o.count == 0 || n < r.o.count; n++ {
		m, err := r.next(&q)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if r.last = time.Now(); r.first.IsZero() {
			r.first = r.last
		}
		r.bytes += uint64(len(m.Bytes()))
		if err := r.write(r.out, &m); err != nil {
			return err
		}
	}
	return nil
}

// next takes the next message. Before it waits it writes what was taken.
func (r *receiving) next(q *quit) (pubsub.Message, error) {
	for {
		m, ok, err := r.s.TryTake()
		if !ok && err == nil {
			if err := r.out.Flush(); err != nil {
				return m, err
			}
			ctx, cancel := r.o.limit(r.ctx)
			m, err = q.take(ctx, r.s)
			cancel()
		}
		switch {
		case errors.Is(err, samepage.ErrChecksum):
			fmt.Fprintln(r.a.stderr, message(err))
			if r.spoilt == nil {
				r.spoilt, r.a.told = err, true
			}
			continue
		case errors.Is(err, samepage.ErrPeerDied):
			if err := q.lost(r.a, r.s, err); err != nil {
				return m, err
			}
			continue
		case err == io.EOF && q.died != nil:
			r.a.told = true
			err = q.died
		}
		return m, err
	}
}

// quit knows when there is nobody left to wait for. ErrPeerDied is no end by
// itself: there may be other publishers.
type quit struct {
	died error // the first death
}

// lost tells of a death. It is an error when that was the last publisher.
func (q *quit) lost(a *app, s *pubsub.Subscriber, err error) error {
	if q.died == nil {
		q.died = err
	}
	if s.Publishers() == 0 {
		return q.died
	}
	fmt.Fprintln(a.stderr, message(err)+"; there are others")
	return nil
}

// take is Take. After a death it also ends when the publishers are gone one by
// one.
func (q *quit) take(ctx context.Context, s *pubsub.Subscriber) (pubsub.Message, error) {
	if q.died == nil {
		return s.Take(ctx)
	}
	for {
		c, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		m, err := s.Take(c)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return m, err
		}
		if s.Publishers() == 0 {
			return m, io.EOF
		}
	}
}

// tell tells what was missed, and with --stats all.
func (r *receiving) tell() error {
	got := received{Topic: r.s.Name(), Messages: r.s.Taken(), Bytes: r.bytes, Missed: r.s.Missed(), Seconds: r.last.Sub(r.first).Seconds()}
	if got.Seconds > 0 {
		got.Rate = float64(got.Messages-1) / got.Seconds
	}
	switch {
	case r.o.stats && r.a.json:
		return jsonPrinter{r.a.stderr}.print(got)
	case r.o.stats:
		return got.text(r.a.stderr)
	case got.Missed > 0 && !r.o.quiet:
		fmt.Fprintf(r.a.stderr, "samepage: %s missed, %d taken\n", count64(got.Missed, "message"), got.Messages)
	}
	return nil
}

// readerGone says whether err is that of a write to a pipe that nobody reads any
// more.
func readerGone(err error) bool {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return true
	}
	const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
	return runtime.GOOS == "windows" && (errors.Is(err, brokenPipe) || errors.Is(err, noData))
}
