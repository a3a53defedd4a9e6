package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"samepage"
	"samepage/pubsub"
)

// The first message of a new topic, beside the hundredth. If the pages of a topic were made when
// they are first used, the first message would pay for them.

// newTopic is about the nth message of a new topic of 64 MiB, for messages of so many bytes. One
// process has the publisher and a reliable subscriber. A sample is the median of several topics.
// What is timed is Loan, to write the message whole, Publish, Take, and to read it.
type newTopic struct{ size, nth int }

// hundredth is such that pages and slots that later messages use have been used before.
const hundredth = 100

func (n newTopic) String() string {
	size := fmt.Sprintf("%d B", n.size)
	if n.size >= 1<<20 {
		size = fmt.Sprintf("%d MiB", n.size>>20)
	}
	if n.nth == 1 {
		return "the first message of " + size + " of a topic"
	}
	return fmt.Sprintf("message %d of %s of a topic", n.nth, size)
}

func (n newTopic) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	return b.solo(ctx, "new topics", order{Name: b.fresh(), First: true, Seconds: seconds, Size: n.size, Count: n.nth})
}

// topicSize is the size of the topics in bytes, or a little less.
const topicSize = 64 << 20

// topicOf returns the options of a topic of almost topicSize bytes.
func topicOf(size int) (*pubsub.Options, error) {
	at := func(depth int) (*pubsub.Options, int64, error) {
		opts := &pubsub.Options{MaxSize: size, Depth: depth, Members: 2}
		n, err := opts.Size()
		return opts, n, err
	}
	low, high := 1, 1<<19 // the largest depth that there is
	for low < high {
		depth := (low + high + 1) / 2
		_, n, err := at(depth)
		switch {
		case err == nil && n <= topicSize:
			low = depth
		case err == nil || errors.Is(err, samepage.ErrTooLarge): // the address space has 32 bits
			high = depth - 1
		default:
			return nil, err
		}
	}
	opts, _, err := at(low)
	return opts, err
}

// fewTopics is the least number of topics of which a sample is the median.
const fewTopics = 3

func playNewTopics(o order, ready func() error) (sample, error) {
	opts, err := topicOf(o.Size)
	if err != nil {
		return sample{}, err
	}
	if err := ready(); err != nil {
		return sample{}, err
	}
	var times []float64
	begun := time.Now()
	for n := 0; n <= fewTopics || time.Since(begun).Seconds() < o.Seconds; n++ {
		t, err := nthMessage(fmt.Sprintf("%s.%d", o.Name, n), opts, o.Count)
		if err != nil {
			return sample{}, err
		}
		if n > 0 { // the first one warms up the code
			times = append(times, t)
		}
	}
	slices.Sort(times)
	return sample{Mean: quantile(times, 0.5)}, nil
}

// nthMessage makes a topic, passes n messages, and returns how long the last one took.
func nthMessage(name string, opts *pubsub.Options, n int) (ns float64, err error) {
	ctx := context.Background()
	p, err := pubsub.CreatePublisher(name, opts)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	s, err := pubsub.OpenSubscriber(name, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for i := range n {
		begun := time.Now()
		l, err := p.Loan(opts.MaxSize)
		if err != nil {
			return 0, err
		}
		writeMessage(l.Bytes(), i)
		if err := l.Publish(ctx); err != nil {
			return 0, err
		}
		m, err := s.Take(ctx)
		if err != nil {
			return 0, err
		}
		use(readLines(m.Bytes()))
		ns = each(time.Since(begun), 1)
	}
	return ns, nil
}
