package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"samepage"
	"samepage/inspect"
	"samepage/pubsub"
)

// bystander copies the messages of a topic, or the values of a cell, that it has not joined.
type bystander struct {
	*inspect.Watcher
	schema string
	looked time.Time // when it looked last whether more can come
	// goesOn is called with what Writers says. It returns an error if the bystander is to end.
	goesOn func(over error) error
}

// watch begins to watch a topic or a cell. If it does not exist, watch says so and waits for it.
func (o *object) watch(ctx context.Context, a *app, k samepage.Kind, name string, opts *inspect.WatchOptions) (*bystander, error) {
	opts.Scope, opts.Owner = o.scope, o.owner
	w, err := inspect.Watch(k, name, opts)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(a.notes(), "samepage: waiting for %v %s\n", k, plain(name))
		w, err = inspect.AwaitWatcher(ctx, k, name, opts)
		err = o.notYet(k, name, err)
	}
	if err != nil {
		return nil, err
	}
	return &bystander{Watcher: w, schema: w.Schema(), goesOn: func(over error) error { return over }}, nil
}

// next copies the next message, if there is one. If no more can come, it returns the error of
// Writers some time later, after the last message.
func (b *bystander) next(buf []byte) (m inspect.Message, ok bool, err error) {
	const each = 100 * time.Millisecond
	m, ok, err = b.Next(buf)
	if ok || err != nil || time.Since(b.looked) < each {
		return m, ok, err
	}
	_, over := b.Writers()
	if over = b.goesOn(over); over == nil {
		b.looked = time.Now()
		return m, false, nil
	}
	// What was published before that.
	if m, ok, err = b.Next(buf); !ok && err == nil {
		err = over
	}
	return m, ok, err
}

// wait is next, but waits for a message. It calls idle before it waits.
func (b *bystander) wait(ctx context.Context, buf []byte, idle func() error) (inspect.Message, error) {
	const least, most = 250 * time.Microsecond, 10 * time.Millisecond
	for pause := time.Duration(0); ; pause = min(max(2*pause, least), most) {
		m, ok, err := b.next(buf)
		if ok || err != nil {
			return m, err
		}
		if pause == 0 {
			if err := idle(); err != nil {
				return m, err
			}
		}
		select {
		case <-ctx.Done():
			return m, fmt.Errorf("wait for a new one: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// taken is a message that sub writes: one that a subscriber has taken, or a copy.
type taken interface {
	Bytes() []byte
	Seq() uint64
	Missed() uint64
	Publisher() int
	Time() time.Time
	Schema() string
}

// copied is the copy of a message or a value.
type copied struct {
	m      inspect.Message
	schema string
}

func (c copied) Bytes() []byte      { return c.m.Data }
func (c copied) Seq() uint64        { return c.m.Seq }
func (c copied) Missed() uint64     { return c.m.Missed }
func (c copied) Generation() uint64 { return c.m.Seq }
func (c copied) Publisher() int     { return c.m.Publisher }
func (c copied) Time() time.Time    { return c.m.Time }
func (c copied) Schema() string     { return c.schema }

// watched copies messages of a topic whose places are all taken, until its name is gone. It goes on
// after the end of a stream, and says so.
func (r *receiving) watched(ctx context.Context, from pubsub.From, took func(taken) error) error {
	if err := r.instead(ctx, from); err != nil {
		return err
	}
	defer func() { _ = r.by.Close() }() // only memory
	told := false                       // of the end of the stream
	r.by.goesOn = func(over error) error {
		var now samepage.Since
		if i, err := samepage.Stat(r.name, r.o.options(samepage.KindTopic)); errors.Is(err, fs.ErrNotExist) || err == nil && i.ID != r.by.ID() {
			now.Gone = true
		}
		switch ended := errors.Is(over, io.EOF); {
		case over == nil:
			told = false
		case told || !ended && !errors.Is(over, samepage.ErrPeerDied):
		case ended:
			now.Ended, told = 1, true
		default:
			now.Died, told = 1, true
		}
		r.happened(now)
		switch {
		case now.Gone:
			return samepage.ErrNameGone
		case told:
			return nil
		}
		return over
	}
	var buf []byte
	for r.o.count == 0 || r.taken < r.o.count {
		m, err := r.by.wait(ctx, buf, r.out.Flush)
		switch {
		case errors.Is(err, samepage.ErrChecksum):
			r.happened(samepage.Since{Damaged: 1})
		case err != nil:
			return err
		default:
			buf = m.Data
			if err := took(copied{m, r.by.schema}); err != nil {
				return err
			}
		}
	}
	return nil
}

// happened says on standard error what has happened.
func (r *receiving) happened(s samepage.Since) {
	if what := s.String(); what != "" {
		fmt.Fprintf(r.a.notes(), "samepage: %s: %s\n", plain(r.name), what)
	}
}

// instead watches the topic, because all its places are taken.
func (r *receiving) instead(ctx context.Context, where pubsub.From) (err error) {
	from := map[pubsub.From]inspect.From{pubsub.FromOldest: inspect.FromOldest, pubsub.FromNewest: inspect.FromNewest, pubsub.FromNow: inspect.FromNow}
	if r.by, err = r.o.watch(ctx, r.a, samepage.KindTopic, r.name, &inspect.WatchOptions{From: from[where]}); err != nil {
		return err
	}
	fmt.Fprintf(r.a.notes(), "samepage: all places of topic %s are taken, so this process watches it without joining. "+
		"No publisher waits for it, and it may miss messages\n", plain(r.name))
	return nil
}

// copies is messages of a topic that is watched.
func (r *receiving) copies() error {
	var buf []byte
	for n := uint64(0); r.o.count == 0 || n < r.o.count; n++ {
		ctx, cancel := r.o.within(r.ctx)
		m, err := r.by.wait(ctx, buf, r.out.Flush)
		cancel()
		switch {
		case errors.Is(err, samepage.ErrChecksum):
			r.spoils(err)
			n--
			continue
		case err != nil:
			return ended(err)
		}
		buf = m.Data
		if err := r.took(copied{m, r.by.schema}); err != nil {
			return err
		}
	}
	return nil
}
