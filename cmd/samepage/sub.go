package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/pubsub"
)

type subOptions struct {
	subscription
	waiting
	lines, raw, y4m, hex bool
	from                 pubsub.From
	bestEffort           bool
	count                uint64
	stats                bool
	follow               bool
	fps                  frame.Ratio
	png, jpg             string
}

// subscription is what sub and hz share.
type subscription struct {
	object
	reader string // of sub
}

func newSubCommand(a *app) *cobra.Command {
	var o subOptions
	c := &cobra.Command{
		Use:   "sub TOPIC",
		Short: "Write the messages of a topic to standard output",
		Long: `sub writes the messages of a topic to standard output. Each message is a line; --raw
writes the bytes unchanged; --hex writes lines of hexadecimal digits; --y4m writes
frames as a YUV4MPEG2 stream, for ffmpeg and other programs; --json writes each message
as a line with a JSON object. On a terminal sub writes escapes such as \x1b in place of
control characters, and the number of bytes in place of bytes that are not text. With
--raw it writes the bytes to a terminal, too.

If the topic does not exist, sub waits until somebody creates it. It ends when the last
publisher ends its stream. If the last publisher dies or fails before the end of its
input, the exit code is 8. sub is a reliable subscriber: publishers wait for it. With
--best-effort they do not wait, and sub says at the end how many messages it missed. A
topic with --evict-after evicts a subscriber that is too slow: the exit code is
then 9. If all places for members are taken, sub says so and watches the topic without
joining it: no publisher waits for it, and it may miss messages.

With --follow sub does not end there. It goes on with the next publisher, and with the
next topic of that name, also one of another size. It says on standard error what has
happened, and how many messages it missed. It joins the next topic, even if it could only
watch the one before.

With --reader the topic remembers which messages sub has written, and the next sub with
that name begins after them; --from is only for a new name. Publishers do not wait for a
name while there is no sub: what is no longer in the history (samepage pub --depth) is
missed. If sub is killed, the next one can write the last messages again. A topic has such names if
it was created with samepage pub --named-readers.

--y4m writes frames of NV12 as 4:2:0, of RGB and BGR as 4:4:4, and of RGBA and BGRA as 4:4:4
with alpha; ffmpeg makes other formats of them, for example with -pix_fmt yuv420p.
A YUV4MPEG2 stream does not tell ffmpeg the matrix of the colours: tell it with
-colorspace bt709 after -i -.

--png and --jpg write each frame to a file of its own. Its name is the argument with the
number of the frame in place of %d, counted from 1; %06d has at least six digits.

With --json a message is {"seq", "publisher", "time", "missed", "size", "text"}. If it
is not UTF-8, "data" in base64 replaces "text". In a topic of a Go type "value" does: an
object with the fields of the type, which the topic describes. --stats then writes a JSON object, too,
to standard error.`,
		Example: `  samepage sub log | grep error
  samepage sub cam --y4m | ffplay -
  samepage sub cam --png cam-%06d.png --count 100
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
	o.addFlags(c)
	f.BoolVar(&o.lines, "lines", false, "write a line end after each message (the default)")
	f.BoolVar(&o.raw, "raw", false, "write the messages unchanged, one after the other")
	f.BoolVar(&o.y4m, "y4m", false, "write frames as a YUV4MPEG2 stream")
	f.BoolVar(&o.hex, "hex", false, "write hexadecimal digits, and a line end after each message")
	f.StringVar(&o.png, "png", "", "write each frame to a PNG `file`; its name has a number, such as cam-%06d.png")
	f.StringVar(&o.jpg, "jpg", "", "the same, to a JPEG `file`")
	f.Var(fpsFlag{&o.fps}, "fps", "frames a second for the header of the YUV4MPEG2 stream, such as 25, 29.97 or 30000/1001 (default: the rate of the frames)")
	f.Var(fromFlag{&o.from}, "from", "begin with the oldest message of the history, with its newest, or with the next message")
	f.StringVar(&o.reader, "reader", "", "go on after the last message that a subscriber of this `name` has written; the topic needs --named-readers")
	f.BoolVar(&o.bestEffort, "best-effort", false, "never make a publisher wait; miss messages instead")
	f.Uint64VarP(&o.count, "count", "n", 0, "end after this `number` of messages; 0: end with the stream")
	o.addTimeout(c, noLimit)
	f.BoolVarP(&o.follow, "follow", "f", false, "go on after the end of the stream, and with later topics of that name")
	f.BoolVar(&o.stats, "stats", false, "at the end write to standard error how much was read")
	completeChoices(c, "from", "oldest", "newest", "now")
	return c
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
	bad := errors.New("want a number or a ratio, such as 25, 29.97 or 30000/1001")
	if strings.Trim(s, "0123456789.:/") != "" || len(s) > 24 { // an exponent may be huge
		return bad
	}
	r, ok := new(big.Rat).SetString(strings.Replace(s, ":", "/", 1))
	if !ok || r.Sign() <= 0 || !r.Num().IsInt64() || r.Num().Int64() > math.MaxInt32 || r.Denom().Cmp(big.NewInt(math.MaxInt32)) > 0 {
		return bad
	}
	*f.p = frame.Ratio{Num: int(r.Num().Int64()), Den: int(r.Denom().Int64())}
	return nil
}

// check checks the flags, and returns the writer for the messages.
func (o *subOptions) check(c *cobra.Command, a *app) (messageWriter, error) {
	forms := 0
	for _, yes := range []bool{o.lines, o.raw, o.y4m, o.hex, a.json, o.png != "", o.jpg != ""} {
		if yes {
			forms++
		}
	}
	switch {
	case forms > 1:
		return nil, usage(c, "--lines, --raw, --hex, --y4m, --png, --jpg and --json exclude each other")
	}
	if c.Flags().Changed("fps") && !o.y4m {
		return nil, usage(c, "--fps needs --y4m")
	}
	switch {
	case o.png+o.jpg != "" && !numbered.MatchString(o.png+o.jpg):
		return nil, usage(c, "%q is not the name of many files: %w", o.png+o.jpg, errNoNumber)
	case o.png != "":
		return newImageWriter(o.png, encodePNG), nil
	case o.jpg != "":
		return newImageWriter(o.jpg, picture.JPEG), nil
	case o.raw:
		return writeRaw, nil
	case o.y4m && terminalOf(a.stdout) != nil:
		return nil, usage(c, "a YUV4MPEG2 stream is not text, and standard output is a terminal: send it to a file or a program")
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

// await joins the topic. If it does not exist, await says so and waits for it.
func (s *subscription) await(ctx context.Context, a *app, name string, from pubsub.From, bestEffort bool) (*pubsub.Subscriber, error) {
	opts := &pubsub.SubscriberOptions{Scope: s.scope, Owner: s.owner, From: from, BestEffort: bestEffort, Reader: s.reader}
	sub, err := pubsub.OpenSubscriber(name, opts)
	if !errors.Is(err, fs.ErrNotExist) {
		return sub, err
	}
	fmt.Fprintf(a.notes(), "samepage: waiting for topic %s\n", plain(name))
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

// patience is how long an interrupted command waits for a write that has begun.
const patience = 300 * time.Millisecond

func runSub(ctx context.Context, a *app, o subOptions, name string, write messageWriter) error {
	// The reader of the output may end early. The write then returns an error, and not a
	// signal, so that sub can leave the topic properly.
	signal.Ignore(syscall.SIGPIPE)
	r := &receiving{ctx: ctx, a: a, o: &o, name: name, out: bufio.NewWriterSize(a.stdout, 64<<10), write: write}
	run, leave := r.following, func() error { return nil }
	if !o.follow {
		first, cancel := o.within(ctx)
		s, err := o.await(first, a, name, o.from, o.bestEffort)
		if err == nil {
			r.s, run, leave = s, r.messages, s.Close
		} else if errors.Is(err, samepage.ErrTooManyMembers) && o.reader == "" { // a name needs its place
			if err = r.instead(first, o.from); err == nil {
				run, leave = r.copies, r.by.Close
			}
		}
		cancel()
		if err != nil {
			return err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- r.run(run) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(patience):
			// Nobody reads the output, so the write blocks. The other goroutine uses the
			// subscriber, so it is not closed: others free its place when this process has
			// ended.
			return ctx.Err()
		}
	}
	return errors.Join(err, r.tell(), leave())
}

// receiving is a run of sub.
type receiving struct {
	ctx   context.Context
	a     *app
	o     *subOptions
	name  string
	s     *pubsub.Subscriber // nil with --follow
	by    *bystander         // instead of s
	out   *bufio.Writer
	write messageWriter

	taken       uint64
	missed      uint64
	bytes       uint64
	first, last time.Time
	spoilt      error // of the first message whose checksum was wrong
	failed      bool  // the message that was taken last could not be written
}

// doneEvery is after how many messages sub stores at the latest that they are written.
const doneEvery = 256

// flush writes all messages that were taken. With --reader they are done then.
func (r *receiving) flush() error {
	err := r.out.Flush()
	if err == nil && r.o.reader != "" && r.s != nil && !r.failed {
		err = r.s.Acknowledge()
	}
	return err
}

func (r *receiving) run(messages func() error) error {
	err := messages()
	if ferr := r.flush(); err == nil {
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
		if err := r.took(&m); err != nil {
			r.failed = true
			return err
		}
		if r.o.reader != "" && r.taken%doneEvery == 0 {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *receiving) took(m taken) error {
	if r.last = time.Now(); r.first.IsZero() {
		r.first = r.last
	}
	r.taken++
	r.missed += m.Missed()
	r.bytes += uint64(len(m.Bytes()))
	return r.write(r.out, m)
}

// following is messages with --follow.
func (r *receiving) following() error {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	var silence *time.Timer // nil: there is no time-out
	if r.o.given {
		silence = time.AfterFunc(r.o.timeout, func() { cancel(context.DeadlineExceeded) })
		defer silence.Stop()
	}
	took := func(m taken) error {
		if silence != nil {
			silence.Reset(r.o.timeout)
		}
		return errors.Join(r.took(m), r.out.Flush())
	}
	for from := r.o.from; ; from = pubsub.FromOldest {
		err := r.joined(ctx, from, took)
		if errors.Is(err, samepage.ErrTooManyMembers) && r.o.reader == "" { // a name needs its place
			err = r.watched(ctx, from, took)
		}
		if !errors.Is(err, samepage.ErrNameGone) {
			if err != nil {
				err = cmp.Or(r.ctx.Err(), context.Cause(ctx), err)
			}
			return err
		}
	}
}

// joined takes messages of all topics of the name as a subscriber.
func (r *receiving) joined(ctx context.Context, from pubsub.From, took func(taken) error) error {
	opts := &pubsub.FollowOptions{
		SubscriberOptions: pubsub.SubscriberOptions{Scope: r.o.scope, Owner: r.o.owner, From: from, BestEffort: r.o.bestEffort, Reader: r.o.reader},
		News:              true,
	}
	for m, err := range pubsub.Follow(ctx, r.name, opts) {
		if err != nil {
			return err
		}
		r.missed += m.Since.Missed
		r.happened(samepage.Since(m.Since))
		if m.OK() {
			r.missed -= m.Missed() // took adds it
			if err := took(&m.Message); err != nil {
				return err
			}
			if r.o.reader != "" {
				if err := m.Acknowledge(); err != nil {
					return err
				}
			}
			if r.o.count > 0 && r.taken >= r.o.count {
				return nil
			}
		}
	}
	return nil
}

// spoils reports a message whose checksum was wrong.
func (r *receiving) spoils(err error) {
	fmt.Fprintln(r.a.stderr, message(err))
	if r.spoilt == nil {
		r.spoilt, r.a.told = err, true
	}
}

// ended is nil if err is the end of a stream.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next takes the next message. Before it waits, it writes all messages taken so far.
func (r *receiving) next(q *quit) (pubsub.Message, error) {
	for {
		m, ok, err := r.s.TryTake()
		if !ok && err == nil {
			if err := r.flush(); err != nil {
				return m, err
			}
			ctx, cancel := r.o.within(r.ctx)
			m, err = q.take(ctx, r.s)
			cancel()
		}
		switch {
		case errors.Is(err, samepage.ErrChecksum):
			r.spoils(err)
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

// quit finds out when no publisher is left. ErrPeerDied alone is not the end: there may be
// other publishers.
type quit struct {
	died error // the first death
}

// lost handles the death of a publisher. It returns the error of the first death if no
// publisher is left; else it prints err.
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

// take is Take. After a death it also ends when all other publishers have gone.
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

// tell says how many messages were missed; with --stats also how many were read.
func (r *receiving) tell() error {
	got := received{Topic: r.name, Messages: r.taken, Bytes: r.bytes, Missed: r.missed, Seconds: r.last.Sub(r.first).Seconds()}
	if got.Seconds > 0 {
		got.Rate = float64(got.Messages-1) / got.Seconds
	}
	switch {
	case r.o.stats && r.a.json:
		return jsonPrinter{r.a.stderr}.print(got)
	case r.o.stats:
		return got.text(r.a.stderr)
	case got.Missed > 0 && !r.o.follow:
		fmt.Fprintf(r.a.notes(), "samepage: %s missed, %d taken\n", count64(got.Missed, "message"), got.Messages)
	}
	return nil
}

// readerGone says whether err is the error of a write to a pipe that nobody reads any more.
func readerGone(err error) bool {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return true
	}
	const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
	return runtime.GOOS == "windows" && (errors.Is(err, brokenPipe) || errors.Is(err, noData))
}
