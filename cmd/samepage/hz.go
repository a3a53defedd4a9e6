package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
	"samepage/layout"
)

type hzOptions struct {
	subscription
	window   time.Duration
	count    uint64
	duration time.Duration
}

func newHzCommand(a *app) *cobra.Command {
	var o hzOptions
	c := &cobra.Command{
		Use:   "hz TOPIC",
		Short: "Measure the rate of a topic's messages",
		Long: `hz shows how many messages and bytes a second a topic has, and the intervals between
messages: shortest, longest, mean, and jitter, which is the standard deviation. It shows
them for each --window, and at the end for the whole time. On a terminal it rewrites one
line; elsewhere it writes a line each time. With --json each line is an object, in which
times are seconds.

hz does not join the topic: it looks from time to time, also if all places are taken,
and no publisher notices it. It may miss messages. The rate includes those. The bandwidth
includes them, too, each with the mean size of the messages that it saw. Intervals do not
include them. If messages have times (samepage pub --times), the intervals are between the
times of publication. Otherwise they are between the times at which hz saw them: these are
exact only to a part of the mean interval, and there are none if messages come faster than
hz looks, which is up to 4000 times a second.

If the topic does not exist, hz waits until somebody creates it. It ends after --count
messages, after --duration, with the stream, or with Ctrl-C: then the exit code is 0.`,
		Example:           "  samepage hz cam\n  samepage hz cam --duration 10s --json | tail -n 1",
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindTopic),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.window <= 0:
				return usage(c, "--window %v is not positive", o.window)
			case o.duration < 0:
				return usage(c, "--duration %v is negative", o.duration)
			}
			return runHz(c.Context(), a, o, args[0])
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.DurationVar(&o.window, "window", time.Second, "show a result for each period of this length")
	f.Uint64VarP(&o.count, "count", "n", 0, "end after this `number` of messages; 0: never")
	f.DurationVar(&o.duration, "duration", 0, "end after this long; 0: never")
	return c
}

func (r rates) text(w io.Writer) error {
	_, err := fmt.Fprintln(w, r.line())
	return err
}

func (r rates) line() string {
	s := ""
	if r.Total {
		s = fmt.Sprintf("total %s in %v: ", count64(r.Messages, "message"), roundDuration(seconds(r.Seconds)))
	}
	if r.Messages == 0 {
		return s + "no messages"
	}
	s += fmt.Sprintf("%s, %s/s", formatRate(r.Rate), formatSize(int64(r.Bandwidth)))
	if r.Max > 0 {
		s += fmt.Sprintf(", intervals %v to %v, mean %v, jitter %v", roundDuration(seconds(r.Min)), roundDuration(seconds(r.Max)),
			roundDuration(seconds(r.Mean)), roundDuration(seconds(r.Jitter)))
	}
	return s + fmt.Sprintf(", %d missed", r.Missed)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// measuring is a run of hz.
type measuring struct {
	a     *app
	o     *hzOptions
	name  string
	w     *bystander
	live  *progress                  // nil: there is no terminal
	now   meter                      // of this window
	all   meter                      // of the whole time
	last  [layout.MaxLanes]time.Time // when the last message of each publisher came; zero: not known
	until time.Time                  // when to end; zero: never

	times bool // messages have times
	seen  int  // messages since the last pause
}

func runHz(ctx context.Context, a *app, o hzOptions, name string) (err error) {
	signal.Ignore(syscall.SIGPIPE)
	first, cancel := ctx, context.CancelFunc(func() {})
	if o.duration > 0 {
		first, cancel = context.WithTimeout(ctx, o.duration)
	}
	w, err := o.watch(first, a, samepage.KindTopic, name, &inspect.WatchOptions{Most: inspect.NoData})
	cancel()
	m := &measuring{a: a, o: &o, name: name, w: w}
	if errors.Is(err, context.Canceled) { // interrupted while it waited: exit code 0, too
		return m.tell(rates{Topic: name, Total: true})
	}
	if err != nil {
		return err
	}
	defer closing(w, &err)
	if !a.json {
		m.live = newProgress(a.stdout, -1)
	}
	now := time.Now()
	m.now.begun, m.all.begun = now, now
	if o.duration > 0 {
		m.until = now.Add(o.duration)
	}
	err = m.run(ctx)
	m.live.done()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	r := m.all.rates(name, time.Now())
	r.Total = true
	if err = errors.Join(err, m.tell(r)); readerGone(err) {
		err = nil
	}
	return err
}

// run measures window after window.
func (m *measuring) run(ctx context.Context) error {
	for {
		end := m.now.begun.Add(m.o.window)
		last := !m.until.IsZero() && !m.until.After(end)
		if last {
			end = m.until
		}
		if err := m.window(ctx, end); err != nil {
			return ended(err)
		}
		full := m.o.count > 0 && m.all.messages >= m.o.count
		if last || full {
			return nil
		}
		now := time.Now()
		r := m.now.rates(m.name, now)
		if m.live != nil {
			m.live.show(r.line())
		} else if err := m.tell(r); err != nil {
			return err
		}
		m.now = meter{begun: now}
	}
}

func (m *measuring) window(ctx context.Context, end time.Time) error {
	for m.o.count == 0 || m.all.messages < m.o.count {
		msg, ok, err := m.w.next(nil)
		switch {
		case errors.Is(err, samepage.ErrChecksum):
			continue // samepage sub reports these
		case err != nil:
			return err
		case ok:
			m.took(&msg)
		}
		if ok && m.seen%restEach != 0 {
			continue
		}
		now := time.Now()
		if !now.Before(end) {
			return nil
		}
		m.seen = 0
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(m.pause(), end.Sub(now))):
		}
	}
	return nil
}

// hz takes so many messages, and then pauses: it must not take the processor from the processes
// that work with them.
const restEach = 1024

// pause is how long hz waits before it looks again: a part of the mean interval, because without
// times it sees a message so much too late.
func (m *measuring) pause() time.Duration {
	const least, most = 250 * time.Microsecond, 10 * time.Millisecond
	mean := m.all.mean
	if m.times {
		return min(max(seconds(mean), time.Millisecond), most)
	}
	if m.all.n == 0 && m.all.messages > 1 { // they come faster than hz looks
		return least
	}
	return min(max(seconds(mean/32), least), most)
}

func (m *measuring) took(msg *inspect.Message) {
	m.seen++
	// Of several messages that are seen at once, nobody knows when they came.
	at, known := time.Now(), m.seen == 1
	if !msg.Time.IsZero() {
		at, known, m.times = msg.Time, true, true
	}
	m.now.message(msg.Size, msg.Missed)
	m.all.message(msg.Size, msg.Missed)
	if !known {
		at = time.Time{}
	}
	last := &m.last[msg.Publisher]
	if known && !last.IsZero() && msg.Missed == 0 {
		s := max(at.Sub(*last).Seconds(), 0) // clocks can be set
		m.now.interval(s)
		m.all.interval(s)
	}
	*last = at
}

func (m *measuring) tell(r rates) error {
	if m.a.json {
		e := json.NewEncoder(visibleJSON{m.a.stdout})
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	return r.text(visibleWriter{m.a.stdout})
}
