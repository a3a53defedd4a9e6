package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
)

// PlayOptions say how a recording is played.
type PlayOptions struct {
	Rate     float64       // how fast: 1 is the original rhythm, 0 means 1
	Loop     bool          // begin again at the end
	From, To time.Duration // since the first message; To 0: to the end
	// Want says which topics and cells are played; nil: all.
	Want func(name string) bool
	// Rename returns the name under which a topic or a cell is played; nil: its own.
	Rename func(name string) string
	Wait   int // begin when each topic has so many reliable subscribers
	Scope  samepage.Scope
	Paused bool // begin in a pause
	// Limit is how many bytes of shared memory a topic or a cell may take; 0 means DefaultLimit.
	Limit int64
	// Progress is told where the player is, after each message and each command; nil: nobody. It must
	// be fast.
	Progress func(Position)
}

// DefaultLimit is the default of PlayOptions.Limit.
const DefaultLimit = 4 << 30

// Position is where a Player is.
type Position struct {
	At       time.Duration // since the first message of the recording
	Of       time.Duration // length of the recording
	Rate     float64
	Paused   bool
	Messages uint64 // played so far
}

// Player plays a recording into topics and cells. Its methods Pause, Step, Seek and Faster may be
// called while Play runs.
type Player struct {
	f        *File
	o        PlayOptions
	begin    uint64 // log time of the first message
	end      uint64 // log time of the last message
	to       uint64 // messages from here on are not played
	outs     map[uint16]*output
	commands chan func()

	// Only the goroutine of Play uses these.
	pos    Position
	next   func() (*Message, error)
	m      *Message  // the message that is played next; nil: not read yet
	log0   uint64    // the message of this log time
	wall0  time.Time // is played at this time
	step   bool      // play one message, in a pause
	played uint64
	batch  *output // has messages that are not published yet
}

// NewPlayer returns a Player. It creates the topics and cells.
//
// Errors: those of pubsub.OpenOrCreatePublisher and cell.OpenOrCreateWriter, samepage.ErrCorrupt,
// fs.ErrInvalid (an option is out of range), samepage.ErrTooLarge (a topic needs more than Limit).
func NewPlayer(f *File, o PlayOptions) (*Player, error) {
	if o.Rate == 0 {
		o.Rate = 1
	}
	if o.Limit == 0 {
		o.Limit = DefaultLimit
	}
	if o.Want == nil {
		o.Want = func(string) bool { return true }
	}
	if o.Rename == nil {
		o.Rename = func(name string) string { return name }
	}
	st := f.info.Statistics
	p := &Player{f: f, o: o, begin: st.MessageStartTime, end: st.MessageEndTime, to: math.MaxInt64, commands: make(chan func())}
	if o.To > 0 {
		p.to = p.begin + uint64(o.To)
	}
	p.pos = Position{Of: time.Duration(p.end - p.begin), Rate: o.Rate, Paused: o.Paused}
	var err error
	if p.outs, err = openOutputs(f, &o); err != nil {
		return nil, err
	}
	return p, nil
}

// Close closes the topics and cells.
func (p *Player) Close() error {
	var all []error
	for _, o := range uniqueOutputs(p.outs) {
		all = append(all, o.Close())
	}
	return errors.Join(all...)
}

// Damaged returns the damaged chunks that were found, with the messages that were not played
// because of them. Messages that were history or values when a part began are not counted.
// Precondition: Play does not run.
func (p *Player) Damaged() []Damage { return p.f.Damaged(p.begin+uint64(p.o.From), p.to, p.want) }

// Played returns how many messages were played. Precondition: Play does not run.
func (p *Player) Played() uint64 { return p.played }

// Begin returns the time of the first message of the recording.
func (p *Player) Begin() time.Time { return nanoTime(p.begin) }

// Names returns the names of the topics and cells that are played.
func (p *Player) Names() []string {
	var names []string
	for _, o := range uniqueOutputs(p.outs) {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (p *Player) want(c *mcap.Channel) bool { return p.outs[c.ID] != nil }

// do lets the goroutine of Play do something, and waits until it takes it.
func (p *Player) do(ctx context.Context, f func()) {
	select {
	case p.commands <- f:
	case <-ctx.Done():
	}
}

// Pause begins or ends a pause.
func (p *Player) Pause(ctx context.Context) {
	p.do(ctx, func() { p.pos.Paused = !p.pos.Paused; p.rebase() })
}

// Step plays one message, and begins a pause.
func (p *Player) Step(ctx context.Context) { p.do(ctx, func() { p.pos.Paused, p.step = true, true }) }

// Faster multiplies the rate by x.
func (p *Player) Faster(ctx context.Context, x float64) {
	p.do(ctx, func() { p.pos.Rate = min(max(p.pos.Rate*x, 1.0/1024), 1024); p.rebase() })
}

// Seek goes forward by d, or back if d is negative.
func (p *Player) Seek(ctx context.Context, d time.Duration) {
	p.do(ctx, func() { p.seek(max(p.o.From, min(p.pos.At+d, p.pos.Of))) })
}

// seek goes on at a time since the first message. What the player finds wrong there is told by the
// next read.
func (p *Player) seek(at time.Duration) {
	p.pos.At = at
	p.m, p.next = nil, nil
}

// command does what a method wants. The position is then what is played at this moment, which may
// be between two messages.
func (p *Player) command(f func()) {
	if !p.pos.Paused && p.m != nil && p.m.LogTime > p.log0 {
		since := min(float64(time.Since(p.wall0))*p.pos.Rate, float64(p.m.LogTime-p.log0))
		p.pos.At = max(p.pos.At, time.Duration(p.log0-p.begin)+time.Duration(since))
	}
	f()
	p.tell()
}

// rebase makes the present position the one that is played now.
func (p *Player) rebase() { p.log0, p.wall0 = p.begin+uint64(p.pos.At), time.Now() }

// Play plays until the end, or until ctx ends.
//
// Errors: that of ctx, samepage.ErrCorrupt, and those of publishing.
func (p *Player) Play(ctx context.Context) error {
	if err := p.await(ctx); err != nil {
		return err
	}
	p.pos.At = p.o.From
	for {
		err := p.playOne(ctx)
		if err == io.EOF && p.o.Loop && p.played > 0 {
			if err = p.flush(ctx); err == nil {
				p.seek(p.o.From)
				continue
			}
		}
		if err == io.EOF {
			return p.flush(ctx)
		}
		if err != nil {
			return errors.Join(err, p.flush(context.WithoutCancel(ctx)))
		}
	}
}

func (p *Player) await(ctx context.Context) error {
	for _, o := range uniqueOutputs(p.outs) {
		if o.pub != nil {
			if err := o.pub.WaitReliableSubscribers(ctx, p.o.Wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// playOne plays the next message, or a command. At the end it returns io.EOF.
func (p *Player) playOne(ctx context.Context) (err error) {
	if p.next == nil {
		if err := p.restart(ctx); err != nil {
			return err
		}
	}
	if p.m == nil {
		if p.m, err = p.next(); err != nil {
			p.m = nil
			return err
		}
		if p.m.LogTime < p.begin {
			return corrupt("a message is older than the first one of the summary")
		}
	}
	if err := p.wait(ctx); err != nil || p.m == nil {
		return err
	}
	m := p.m
	p.m, p.step = nil, false
	p.pos.At = time.Duration(m.LogTime - p.begin)
	if err := p.send(ctx, m); err != nil {
		return fmt.Errorf("play %s: %w", p.f.Path, err)
	}
	p.played++
	p.pos.Messages = p.played
	p.tell()
	return nil
}

func (p *Player) tell() {
	if p.o.Progress != nil {
		p.o.Progress(p.pos)
	}
}

// send plays m. Messages of one topic that follow each other are published together.
func (p *Player) send(ctx context.Context, m *Message) error {
	o := p.outs[m.Channel.ID]
	if p.batch != nil && p.batch != o {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	p.batch = o
	return o.send(ctx, m)
}

// flush publishes what send has kept.
func (p *Player) flush(ctx context.Context) error {
	if p.batch == nil {
		return nil
	}
	o := p.batch
	p.batch = nil
	return o.flush(ctx)
}

// wait waits until p.m is due. If a command makes another message the next one, p.m is nil then.
func (p *Player) wait(ctx context.Context) error {
	for p.m != nil && !p.step {
		select {
		case f := <-p.commands:
			p.command(f)
			continue
		default:
		}
		var due <-chan time.Time
		if !p.pos.Paused {
			d := time.Duration(float64(p.m.LogTime-p.log0)/p.pos.Rate) - time.Since(p.wall0)
			if p.m.LogTime <= p.log0 || d <= 0 {
				return ctx.Err()
			}
			t := time.NewTimer(d)
			defer t.Stop()
			due = t.C
		}
		if err := p.flush(ctx); err != nil {
			return err
		}
		select {
		case <-due:
			return nil
		case f := <-p.commands:
			p.command(f)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// restart begins to read at the present position. Before that it plays what the topics and cells
// had at this moment.
func (p *Player) restart(ctx context.Context) error {
	if err := p.flush(ctx); err != nil {
		return err
	}
	at := p.begin + uint64(p.pos.At)
	if p.pos.At > 0 {
		if err := p.restore(ctx, at); err != nil {
			return err
		}
	}
	var err error
	p.next, err = p.f.Messages(at, p.to, Forward, p.want)
	p.rebase()
	return err
}

// restore plays the messages that were the history of each topic, and the value of each cell, just
// before at.
func (p *Player) restore(ctx context.Context, at uint64) error {
	all := uniqueOutputs(p.outs)
	kept := map[*output][]Message{}
	full := func(o *output) bool { return len(kept[o]) >= o.depth }
	next, err := p.f.Messages(0, at, Backward, func(c *mcap.Channel) bool { return p.want(c) && !full(p.outs[c.ID]) })
	for left := len(all); err == nil && left > 0; {
		var m *Message
		if m, err = next(); err != nil {
			break
		}
		o := p.outs[m.Channel.ID]
		if full(o) {
			continue
		}
		c, msg := *m, *m.Message
		msg.Data = slices.Clone(msg.Data)
		c.Message = &msg
		if kept[o] = append(kept[o], c); full(o) {
			left--
		}
	}
	if err != nil && err != io.EOF {
		return err
	}
	for _, o := range all {
		for i := range slices.Backward(kept[o]) {
			if err := p.send(ctx, &kept[o][i]); err != nil {
				return err
			}
		}
	}
	return p.flush(ctx)
}
