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
	"samepage/pubsub"
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

hz never makes a publisher wait. If messages come very fast, it reads only a part of
them. The rate includes the messages that it misses. The bandwidth includes them, too,
each with the mean size of the messages that it read. Intervals do not include them.
If messages have times (samepage pub --times), the intervals are between the times of
publication. Otherwise they are between the times of arrival.

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
	f.Uint64VarP(&o.count, "count", "n", 0, "end after this many messages; 0: never")
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
	s     *pubsub.Subscriber
	live  *progress   // nil: there is no terminal
	now   meter       // of this window
	all   meter       // of the whole time
	last  []time.Time // when the last message of each publisher came
	quit  quit
	until time.Time // when to end; zero: never

	burst  time.Time // when rest began to count messages
	n      int       // how many messages it has counted
	behind bool      // it has rested, and has not caught up yet
}

func runHz(ctx context.Context, a *app, o hzOptions, name string) (err error) {
	signal.Ignore(syscall.SIGPIPE)
	first, cancel := ctx, context.CancelFunc(func() {})
	if o.duration > 0 {
		first, cancel = context.WithTimeout(ctx, o.duration)
	}
	s, err := o.await(first, a, name, pubsub.FromNow, true)
	cancel()
	if errors.Is(err, context.Canceled) { // interrupted while it waited: exit code 0, too
		return (&measuring{a: a}).tell(rates{Topic: name, Total: true})
	}
	if err != nil {
		return err
	}
	defer closing(s, &err)
	m := &measuring{a: a, o: &o, s: s, last: make([]time.Time, s.Options().Publishers)}
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
	r := m.all.rates(s.Name(), time.Now())
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
			if err == io.EOF {
				err = m.quit.died
			}
			return err
		}
		full := m.o.count > 0 && m.all.messages >= m.o.count
		if last || full {
			return nil
		}
		now := time.Now()
		r := m.now.rates(m.s.Name(), now)
		if m.live != nil {
			m.live.show(r.line())
		} else if err := m.tell(r); err != nil {
			return err
		}
		m.now = meter{begun: now}
	}
}

func (m *measuring) window(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for m.o.count == 0 || m.all.messages < m.o.count {
		m.rest()
		msg, ok, err := m.s.TryTake()
		if !ok && err == nil {
			m.behind = false
			msg, err = m.quit.take(ctx, m.s)
		}
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return nil
		case errors.Is(err, samepage.ErrPeerDied):
			if err := m.quit.lost(m.a, m.s, err); err != nil {
				return err
			}
			continue
		case errors.Is(err, samepage.ErrChecksum):
			continue // samepage sub reports these
		case err != nil:
			return err
		}
		now := time.Now()
		m.took(&msg, now)
		if !now.Before(end) { // messages came without a pause
			return nil
		}
	}
	return nil
}

// If more than restAbove messages a second come, hz reads only a part of them: it must not
// take the processor from the processes that work with them.
const (
	restEach  = 1024
	restAbove = 50_000
	restMost  = 20 * time.Millisecond
)

// rest is called before each message.
func (m *measuring) rest() {
	if m.n++; m.n < restEach {
		return
	}
	now := time.Now()
	if spent := now.Sub(m.burst); spent < restEach*time.Second/restAbove {
		m.s.Release()
		time.Sleep(min(4*spent, restMost))
		m.behind = true
		now = time.Now()
	}
	m.burst, m.n = now, 0
}

func (m *measuring) took(msg *pubsub.Message, now time.Time) {
	at, lane, known := now, msg.Publisher(), !m.behind
	if t := msg.Time(); !t.IsZero() {
		at, known = t, true
	}
	size, missed := len(msg.Bytes()), msg.Missed()
	m.now.message(size, missed)
	m.all.message(size, missed)
	if last := m.last[lane]; !last.IsZero() && missed == 0 && known {
		s := max(at.Sub(last).Seconds(), 0) // clocks can be set
		m.now.interval(s)
		m.all.interval(s)
	}
	m.last[lane] = at
}

func (m *measuring) tell(r rates) error {
	if m.a.json {
		e := json.NewEncoder(visibleJSON{m.a.stdout})
		e.SetEscapeHTML(false)
		return e.Encode(r)
	}
	return r.text(visibleWriter{m.a.stdout})
}
