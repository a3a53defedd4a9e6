package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"samepage/pubsub"
)

// The roles of topics.

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

// passMessages passes a message to and fro. It touches the first line of each message, if the order
// is not for whole ones, as the limit does: the machine decides what it costs to write and read the
// rest.
func passMessages(o order, ready func() error, sub *pubsub.SubscriberOptions) (sample, error) {
	p, s, err := exchange(o, ready, pubsub.Options{Depth: o.depth()}, sub)
	if err != nil {
		return sample{}, err
	}
	defer p.Close()
	defer s.Close()
	ctx := context.Background()
	return passing(o, func(n int) error {
		l, err := p.Loan(o.Size)
		if err != nil {
			return err
		}
		if o.Whole {
			fill(l.Bytes(), n)
		} else {
			binary.LittleEndian.PutUint64(l.Bytes(), uint64(n))
		}
		return l.Publish(ctx)
	}, func(n int) error {
		m, err := s.Take(ctx)
		switch {
		case err != nil:
			return err
		case o.Whole:
			return check(m.Bytes(), n)
		case binary.LittleEndian.Uint64(m.Bytes()) != uint64(n):
			return fmt.Errorf("message %d says %d", m.Seq(), binary.LittleEndian.Uint64(m.Bytes()))
		}
		return nil
	})
}

// depth is that of a topic for single messages. The fewer large messages a topic has, the fewer
// slots are written in turn, and the more of them stay in the caches.
func (o order) depth() int {
	switch {
	case o.Size <= 4096:
		return 64
	case o.Whole:
		return 1
	}
	return 4
}

func playTopic(o order, ready func() error) (sample, error) {
	return passMessages(o, ready, &pubsub.SubscriberOptions{From: pubsub.FromOldest})
}

func playTopicBestEffort(o order, ready func() error) (sample, error) {
	return passMessages(o, ready, &pubsub.SubscriberOptions{BestEffort: true})
}

// streamMessages passes messages from the second process to the first, in batches. Each message
// is written in place.
func streamMessages(batch int) role {
	return func(o order, ready func() error) (sample, error) {
		if o.First {
			return takeStream(o, ready, arriving(o))
		}
		ctx := context.Background()
		p, err := streamPublisher(o, ready, streamOptions(o, max(batch, 2)))
		if err != nil {
			return sample{}, err
		}
		defer p.Close()
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

// streamSends passes messages from the second process to the first. Each message is written
// elsewhere, and copied by Send.
func streamSends(o order, ready func() error) (sample, error) {
	if o.First {
		return takeStream(o, ready, arriving(o))
	}
	ctx := context.Background()
	p, err := streamPublisher(o, ready, streamOptions(o, 2))
	if err != nil {
		return sample{}, err
	}
	defer p.Close()
	buf := make([]byte, o.Size)
	for n := range arriving(o) {
		writeMessage(buf, n)
		if err := p.Send(ctx, buf); err != nil {
			return sample{}, err
		}
	}
	return sample{}, nil
}

// streamDepth is that of the limit of small messages.
const streamDepth = 1024

func streamOptions(o order, loans int) *pubsub.Options {
	depth := streamDepth
	if o.Size > 4096 {
		depth = 6
	}
	return &pubsub.Options{MaxSize: o.Size, Depth: depth, Members: 2, Loans: loans}
}

// streamPublisher opens the topic of a stream, and waits for its subscriber.
func streamPublisher(o order, ready func() error, opts *pubsub.Options) (*pubsub.Publisher, error) {
	p, _, err := pubsub.OpenOrCreatePublisher(o.Name, opts)
	if err != nil {
		return nil, err
	}
	if err = ready(); err == nil {
		err = p.WaitSubscribers(context.Background(), 1)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func streamSubscriber(o order, ready func() error) (*pubsub.Subscriber, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	return pubsub.AwaitSubscriber(context.Background(), o.Name, nil)
}

// takeStream takes so many messages of a stream one by one, and reads them in place.
func takeStream(o order, ready func() error, messages int) (sample, error) {
	ctx := context.Background()
	s, err := streamSubscriber(o, ready)
	if err != nil {
		return sample{}, err
	}
	defer s.Close()
	var sum byte
	return packArrivals(o, messages, func() (int, error) {
		m, ok, err := s.TryTake()
		if !ok && err == nil {
			m, err = s.Take(ctx)
		}
		if err == nil {
			sum += readLines(m.Bytes())
		}
		return 1, err
	})
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
