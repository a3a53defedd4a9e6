package record

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cell"
	"samepage/pubsub"
)

// output is the end of a topic, for one of its publishers, or of a cell, that a recording is played
// into.
type output struct {
	name  string
	pub   *pubsub.Publisher // nil: a cell
	cell  *cell.Writer
	depth int  // how many messages a history, or a cell, has
	times bool // messages keep the time of their publication

	// Messages that are not published yet, and the time of their publication, if times is set.
	pending [][]byte
	buf     []byte
	at      uint64
	scratch []byte // for Message.original
}

// maxPending is how many messages, and bytes of them, are published together.
const (
	maxPending      = 256
	maxPendingBytes = 64 << 10
)

// place is the key of an output: channels that were recorded from one publisher's place, of any
// object of the name, are played by one publisher.
type place struct {
	kind      samepage.Kind
	name      string
	publisher int
}

// openOutputs opens the topics and cells that a recording is played into. The result has an output
// for each channel that is played.
func openOutputs(f *File, o *PlayOptions) (outs map[uint16]*output, err error) {
	options := map[place]*Source{} // of a topic or cell; publisher is 0
	at := map[uint16]place{}
	sizes, err := foreignSizes(f, o)
	if err != nil {
		return nil, err
	}
	for id, c := range f.info.Channels {
		if c.Topic == eventTopic || !o.Want(c.Topic) {
			continue
		}
		s, name := f.sources[id], o.Rename(c.Topic)
		if s == nil {
			if name == c.Topic { // such as /camera/image, which is no name here
				name = strings.ReplaceAll(strings.Trim(name, "/"), "/", ".")
			}
			s = &Source{Kind: samepage.KindTopic, Options: pubsub.Options{MaxSize: max(sizes[id], 1), Times: true}}
		}
		k := place{s.Kind, name, s.Publisher}
		at[id] = k
		all := place{k.kind, k.name, 0}
		if options[all] == nil {
			options[all] = &Source{Kind: s.Kind, Schema: s.Schema, Options: s.Options}
		} else if err := options[all].include(s); err != nil {
			return nil, fmt.Errorf("play %q: %w", c.Topic, err)
		}
	}
	outs = map[uint16]*output{}
	byPlace := map[place]*output{}
	defer func() {
		if err != nil {
			for _, out := range byPlace {
				_ = out.Close()
			}
		}
	}()
	for id, k := range at {
		if byPlace[k] == nil {
			if byPlace[k], err = openOutput(k, options[place{k.kind, k.name, 0}], o); err != nil {
				return nil, err
			}
		}
		outs[id] = byPlace[k]
	}
	return outs, nil
}

// include makes the options those of an object that can take the messages of both.
func (s *Source) include(t *Source) error {
	if s.Schema != t.Schema {
		return fmt.Errorf("its type changes, and only one can be played: %w", samepage.ErrKindMismatch)
	}
	a, b := &s.Options, t.Options
	a.MaxSize, a.Pack, a.Depth = max(a.MaxSize, b.MaxSize), max(a.Pack, b.Pack), max(a.Depth, b.Depth)
	a.Publishers, a.Members, a.Holds, a.Loans = max(a.Publishers, b.Publishers), max(a.Members, b.Members), max(a.Holds, b.Holds), max(a.Loans, b.Loans)
	a.NamedReaders, a.EvictAfter = max(a.NamedReaders, b.NamedReaders), max(a.EvictAfter, b.EvictAfter)
	a.Checksums, a.Times = a.Checksums || b.Checksums, a.Times || b.Times
	return nil
}

// foreignSizes returns the size of the largest message of each channel that another program wrote,
// and that is played.
func foreignSizes(f *File, o *PlayOptions) (map[uint16]int, error) {
	sizes := map[uint16]int{}
	foreign := func(c *mcap.Channel) bool { return c.Topic != eventTopic && f.sources[c.ID] == nil && o.Want(c.Topic) }
	any := false
	for _, c := range f.info.Channels {
		any = any || foreign(c)
	}
	if !any {
		return nil, nil
	}
	next, err := f.Messages(0, math.MaxInt64, Forward, foreign)
	for err == nil {
		var m *Message
		if m, err = next(); err == nil {
			sizes[m.Channel.ID] = max(sizes[m.Channel.ID], len(m.Data))
		}
	}
	if err != io.EOF {
		return nil, err
	}
	return sizes, nil
}

// openOutput opens an output. The result must be closed also after an error.
func openOutput(k place, s *Source, o *PlayOptions) (*output, error) {
	out := &output{name: k.name, depth: 1, times: s.Options.Times}
	var err error
	f := &s.Options
	if k.kind == samepage.KindCell {
		if int64(f.MaxSize) > o.Limit {
			return out, fmt.Errorf("cell %q has room for %d bytes, the limit is %d: %w", k.name, f.MaxSize, o.Limit, samepage.ErrTooLarge)
		}
		opts := &cell.Options{Scope: o.Scope, Schema: s.Schema, Members: s.Options.Members, Checksums: s.Options.Checksums, Times: s.Options.Times}
		out.cell, _, err = cell.OpenOrCreateWriter(k.name, max(s.Options.MaxSize, 1), opts)
		return out, err
	}
	// The file does not say who may use the topic, and how long it stays.
	opts := pubsub.Options{
		Scope: o.Scope, Schema: s.Schema, MaxSize: f.MaxSize, Pack: f.Pack, Depth: f.Depth, Publishers: f.Publishers, Members: f.Members,
		Holds: f.Holds, Loans: f.Loans, EvictAfter: f.EvictAfter, Checksums: f.Checksums, Times: f.Times, NamedReaders: f.NamedReaders,
	}
	n, err := opts.InUse(max(f.Publishers, 1), 1)
	if err == nil && n > o.Limit {
		err = fmt.Errorf("it needs %d bytes, the limit is %d: %w", n, o.Limit, samepage.ErrTooLarge)
	}
	if err != nil {
		return out, fmt.Errorf("topic %q: %w", k.name, err)
	}
	if out.pub, _, err = pubsub.OpenOrCreatePublisher(k.name, &opts); err == nil {
		out.depth = out.pub.Options().Depth
	}
	return out, err
}

func uniqueOutputs(outs map[uint16]*output) (all []*output) {
	for _, o := range outs {
		if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

// Close ends the stream.
func (o *output) Close() error {
	switch {
	case o.pub != nil:
		return o.pub.Close()
	case o.cell != nil:
		return o.cell.Close()
	}
	return nil
}

// send plays a message. It may keep it until flush.
func (o *output) send(ctx context.Context, m *Message) error {
	b, err := m.original(&o.scratch)
	if err != nil {
		return err
	}
	if o.cell != nil {
		return o.cell.Set(ctx, b)
	}
	if len(o.pending) > 0 && (o.times && m.PublishTime != o.at || len(o.pending) == maxPending || len(o.buf)+len(b) > maxPendingBytes) {
		if err := o.flush(ctx); err != nil {
			return err
		}
	}
	o.at = m.PublishTime
	if len(b) > maxPendingBytes/2 { // not copied twice
		o.pending = append(o.pending, b)
		return o.flush(ctx)
	}
	// The buffer may move when it grows. The messages before stay where they are.
	n := len(o.buf)
	o.buf = append(o.buf, b...)
	o.pending = append(o.pending, o.buf[n:])
	return nil
}

func (o *output) flush(ctx context.Context) error {
	if len(o.pending) == 0 {
		return nil
	}
	all := o.pending
	o.pending, o.buf = o.pending[:0], o.buf[:0]
	if o.times {
		if err := o.pub.Relay(o.pub.Next(), time.Unix(0, int64(o.at))); err != nil {
			return err
		}
	}
	_, err := o.pub.SendAll(ctx, all)
	return err
}
