package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"samepage/cell"
	"samepage/pubsub"
)

// Topics and cells: the roles of this module's messages.

// exchange opens a topic in each direction, for messages of o.Size bytes.
func exchange(o order, ready func() error, opts pubsub.Options, sub *pubsub.SubscriberOptions) (*pubsub.Publisher, *pubsub.Subscriber, error) {
	mine, other := ".a", ".b"
	if !o.First {
		mine, other = other, mine
	}
	opts.MaxSize, opts.Members = o.Size, 2
	p, _, err := pubsub.OpenOrCreatePublisher(o.Name+mine, &opts)
	if err != nil {
		return nil, nil, err
	}
	if o.First {
		if err := ready(); err != nil { // the other process has created its topic by then
			return nil, nil, err
		}
	}
	s, err := pubsub.AwaitSubscriber(context.Background(), o.Name+other, sub)
	if err == nil && !o.First {
		err = ready()
	}
	return p, s, err
}

// passMessages passes a message to and fro. It touches the first line of each message, as the
// limit does: the machine decides what it costs to write and read the rest.
func passMessages(o order, ready func() error, sub *pubsub.SubscriberOptions) (sample, error) {
	p, s, err := exchange(o, ready, pubsub.Options{Depth: depthFor(o.Size)}, sub)
	if err != nil {
		return sample{}, err
	}
	defer p.Close()
	defer s.Close()
	ctx := context.Background()
	n := uint64(0)
	put := func() error {
		l, err := p.Loan(o.Size)
		if err != nil {
			return err
		}
		n++
		binary.LittleEndian.PutUint64(l.Bytes(), n)
		return l.Publish(ctx)
	}
	take := func() error {
		m, err := s.Take(ctx)
		if err == nil && binary.LittleEndian.Uint64(m.Bytes()) < n {
			err = fmt.Errorf("message %d says %d", m.Seq(), binary.LittleEndian.Uint64(m.Bytes()))
		}
		return err
	}
	return trips(o, func() error {
		if o.First {
			if err := put(); err != nil {
				return err
			}
			return take()
		}
		if err := take(); err != nil {
			return err
		}
		return put()
	})
}

func depthFor(size int) int {
	if size > 4096 {
		return 4
	}
	return 64
}

func playTopic(o order, ready func() error) (sample, error) {
	return passMessages(o, ready, &pubsub.SubscriberOptions{From: pubsub.FromOldest})
}

func playTopicBestEffort(o order, ready func() error) (sample, error) {
	return passMessages(o, ready, &pubsub.SubscriberOptions{BestEffort: true})
}

// streamMessages passes messages from the second process to the first, in batches.
func streamMessages(batch int) role {
	return func(o order, ready func() error) (sample, error) {
		depth := 1024 // as in the limit
		if o.Size > 4096 {
			depth = 6
		}
		ctx := context.Background()
		if o.First {
			if err := ready(); err != nil {
				return sample{}, err
			}
			s, err := pubsub.AwaitSubscriber(ctx, o.Name, nil)
			if err != nil {
				return sample{}, err
			}
			defer s.Close()
			var sum byte
			return arrivals(o, func() error {
				m, ok, err := s.TryTake()
				if !ok && err == nil {
					m, err = s.Take(ctx)
				}
				if err == nil {
					sum += readLines(m.Bytes())
				}
				return err
			})
		}
		p, _, err := pubsub.OpenOrCreatePublisher(o.Name, &pubsub.Options{MaxSize: o.Size, Depth: depth, Members: 2, Loans: max(batch, 2)})
		if err != nil {
			return sample{}, err
		}
		defer p.Close()
		if err := ready(); err != nil {
			return sample{}, err
		}
		if err := p.WaitSubscribers(ctx, 1); err != nil {
			return sample{}, err
		}
		loans := make([]pubsub.Loan, 0, batch)
		for n := range arriving(o) {
			l, err := p.Loan(o.Size)
			if err != nil {
				return sample{}, err
			}
			writeMessage(l.Bytes(), n)
			if batch == 1 {
				err = l.Publish(ctx)
			} else if loans = append(loans, l); len(loans) == batch {
				_, err = p.PublishAll(ctx, loans)
				loans = loans[:0]
			}
			if err != nil {
				return sample{}, err
			}
		}
		_, err = p.PublishAll(ctx, loans)
		return sample{}, err
	}
}

// writeMessage writes a whole message, as the limit does.
func writeMessage(b []byte, n int) {
	if len(b) == 64 {
		for i := 0; i < 64; i += 8 {
			binary.LittleEndian.PutUint64(b[i:i+8], uint64(n))
		}
		return
	}
	fill(b, n)
}

// publishCost is the CPU time that a publish costs its process while so many processes have the
// topic open as reliable subscribers, and none of them sleeps in it.
type publishCost int

func (p publishCost) String() string { return fmt.Sprintf("a publish with %d subscribers", int(p)) }

func (p publishCost) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	// This is checked before so many processes are started.
	if _, err := cpuTime(); err != nil {
		return sample{}, err
	}
	o := order{Name: b.fresh(), First: true, Seconds: seconds, Count: int(p)}
	pub, err := b.play(ctx, "publisher", o)
	if err != nil {
		return sample{}, err
	}
	defer pub.end()
	o.First = false
	for range int(p) {
		s, err := b.play(ctx, "idle subscriber", o)
		if err != nil {
			return sample{}, err
		}
		defer s.end()
		if err := s.begin(); err != nil {
			return sample{}, err
		}
	}
	if err := pub.begin(); err != nil {
		return sample{}, err
	}
	return pub.result()
}

// crowdDepth is such that the ring fits into a cache of the second level.
const crowdDepth = 1 << 11

func playPublisher(o order, ready func() error) (sample, error) {
	ctx := context.Background()
	p, _, err := pubsub.OpenOrCreatePublisher(o.Name, &pubsub.Options{MaxSize: 64, Depth: crowdDepth, Members: 80})
	if err != nil {
		return sample{}, err
	}
	defer p.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	if err := p.WaitSubscribers(ctx, o.Count); err != nil {
		return sample{}, err
	}
	// Each burst has as many as fit: a publisher that waits for room does not publish.
	buf := make([]byte, 64)
	var cpu time.Duration
	n := 0
	for end := time.Now().Add(time.Duration(o.Seconds * float64(time.Second))); n == 0 || time.Now().Before(end); {
		for p.Lag() > crowdDepth/16 {
			time.Sleep(time.Millisecond)
		}
		before, err := cpuTime()
		if err != nil {
			return sample{}, err
		}
		for range crowdDepth / 2 {
			if err := p.Send(ctx, buf); err != nil {
				return sample{}, err
			}
		}
		after, err := cpuTime()
		if err != nil {
			return sample{}, err
		}
		cpu += after - before
		n += crowdDepth / 2
	}
	return sample{Mean: float64(cpu.Nanoseconds()) / float64(n)}, nil
}

// playIdleSubscriber now and then takes all messages that there are, and sleeps elsewhere.
func playIdleSubscriber(o order, ready func() error) (sample, error) {
	s, err := pubsub.AwaitSubscriber(context.Background(), o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer s.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	for {
		_, ok, err := s.TryTake()
		if err != nil {
			return sample{Mean: 1}, nil // the publisher has ended
		}
		if !ok {
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// playCell reads a value that nobody changes, and copies it.
func playCell(o order, ready func() error) (sample, error) {
	w, _, err := cell.OpenOrCreateWriter(o.Name, 64, nil)
	if err != nil {
		return sample{}, err
	}
	defer w.Close()
	if err := w.Set(context.Background(), make([]byte, 64)); err != nil {
		return sample{}, err
	}
	r, err := cell.OpenReader(o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer r.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	buf := make([]byte, 64)
	wall, _, err := repeat(o.Seconds, func() error {
		for range 1000 {
			if _, _, _, err := r.ReadInto(buf); err != nil {
				return err
			}
		}
		return nil
	})
	return sample{Mean: wall}, err
}

// playBusyCell reads a value that the second process changes as fast as it can. Half of the
// reads that count found a new value.
func playBusyCell(o order, ready func() error) (sample, error) {
	ctx := context.Background()
	if !o.First {
		return sample{}, changeCell(o, ready)
	}
	w, _, err := cell.OpenOrCreateWriter(o.Name, o.Size, nil) // makes it
	if err != nil {
		return sample{}, err
	}
	defer w.Close()
	stop, _, err := cell.OpenOrCreateWriter(o.Name+".stop", 1, nil)
	if err != nil {
		return sample{}, err
	}
	defer stop.Close()
	r, err := cell.OpenReader(o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer r.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	if err := r.Changed(ctx); err != nil {
		return sample{}, err
	}
	buf := make([]byte, o.Size)
	var last uint64
	fresh := 0
	begun := time.Now()
	for range o.Count {
		_, g, _, err := r.ReadInto(buf)
		if err != nil {
			return sample{}, err
		}
		if g != last {
			last = g
			fresh++
		}
	}
	t := time.Since(begun)
	if err := stop.Set(ctx, []byte{1}); err != nil {
		return sample{}, err
	}
	// A read that finds the same value as the read before costs almost nothing. So at most as
	// many of these count as of the others.
	return sample{Mean: each(t, min(o.Count, 2*max(fresh, 1)))}, nil
}

func changeCell(o order, ready func() error) error {
	w, _, err := cell.OpenOrCreateWriter(o.Name, o.Size, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	stop, err := cell.OpenReader(o.Name+".stop", nil)
	if err != nil {
		return err
	}
	defer stop.Close()
	if err := ready(); err != nil {
		return err
	}
	buf := make([]byte, o.Size)
	for {
		for range 100 {
			if err := w.Set(context.Background(), buf); err != nil {
				return err
			}
		}
		if _, ok, err := stop.Load(); ok || err != nil {
			return err
		}
	}
}
