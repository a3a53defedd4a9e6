package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"samepage/ipcsync"
	"samepage/pubsub"
)

// publishCost is the CPU time that a publish costs its process while so many processes have the
// topic open as reliable subscribers, and none of them sleeps in it. The publisher has CPU 0 and
// all subscribers have CPU 1. So the caches of the publisher's CPU do not depend on their number.
type publishCost int

func (p publishCost) String() string {
	if p == 1 {
		return "a publish with one subscriber"
	}
	return fmt.Sprintf("a publish with %d subscribers", int(p))
}

func (p publishCost) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	// This is checked before so many processes are started.
	if _, err := cpuTime(); err != nil {
		return sample{}, err
	}
	o := order{Name: b.fresh(), First: true, Seconds: seconds, Count: int(p), Bind: late, Procs: runtime.NumCPU()}
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

// crowdDepth is such that the ring fits into a cache of the second level, and that a burst is
// long beside what the caches lose between two bursts.
const crowdDepth = 1 << 12

// fallAsleep is more than 64 subscribers need on two CPUs until they sleep: each polls first.
const fallAsleep = 3 * time.Millisecond

// playPublisher publishes bursts of half of the ring, so that it never waits for room. Between
// two bursts all subscribers take what there is. During a burst they sleep, but not in the topic:
// they wait for the next message of another topic, which says that a burst has ended. The first
// burst does not count; the figure is the median of the others.
func playPublisher(o order, ready func() error) (sample, error) {
	ctx := context.Background()
	p, _, err := pubsub.OpenOrCreatePublisher(o.Name, &pubsub.Options{MaxSize: 64, Depth: crowdDepth, Members: 80})
	if err != nil {
		return sample{}, err
	}
	defer p.Close()
	signal, _, err := pubsub.OpenOrCreatePublisher(o.Name+".signal", &pubsub.Options{MaxSize: 8, Members: 80})
	if err != nil {
		return sample{}, err
	}
	defer signal.Close()
	done, _, err := ipcsync.OpenOrCreateSemaphore(o.Name+".done", 0, uint32(o.Count), &ipcsync.Options{Members: 80})
	if err != nil {
		return sample{}, err
	}
	defer done.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	if err := errors.Join(p.WaitSubscribers(ctx, o.Count), signal.WaitSubscribers(ctx, o.Count)); err != nil {
		return sample{}, err
	}
	buf := make([]byte, 64)
	runtime.LockOSThread() // for the clock
	defer runtime.UnlockOSThread()
	var bursts []float64
	for end := time.Now().Add(time.Duration(o.Seconds * float64(time.Second))); len(bursts) < 2 || time.Now().Before(end); {
		before, err := threadTime()
		if err != nil {
			return sample{}, err
		}
		for range crowdDepth / 2 {
			if err := p.Send(ctx, buf); err != nil {
				return sample{}, err
			}
		}
		after, err := threadTime()
		if err != nil {
			return sample{}, err
		}
		bursts = append(bursts, each(after-before, crowdDepth/2))
		if err := signal.Send(ctx, []byte{1}); err != nil {
			return sample{}, err
		}
		for range o.Count {
			if err := done.Acquire(ctx); err != nil {
				return sample{}, err
			}
		}
		time.Sleep(fallAsleep)
	}
	bursts = bursts[1:]
	slices.Sort(bursts)
	return sample{Mean: quantile(bursts, 0.5)}, nil
}

// playIdleSubscriber takes all messages after each burst.
func playIdleSubscriber(o order, ready func() error) (sample, error) {
	ctx := context.Background()
	s, err := pubsub.AwaitSubscriber(ctx, o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer s.Close()
	signal, err := pubsub.AwaitSubscriber(ctx, o.Name+".signal", nil)
	if err != nil {
		return sample{}, err
	}
	defer signal.Close()
	done, _, err := ipcsync.OpenOrCreateSemaphore(o.Name+".done", 0, uint32(o.Count), &ipcsync.Options{Members: 80})
	if err != nil {
		return sample{}, err
	}
	defer done.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	for {
		if _, err := signal.Take(ctx); err != nil {
			return sample{Mean: 1}, nil // the publisher has ended
		}
		for ok := true; ok; {
			if _, ok, err = s.TryTake(); err != nil {
				return sample{Mean: 1}, nil
			}
		}
		s.Release() // tells how far it is
		if err := done.Release(1); err != nil {
			return sample{}, err
		}
	}
}
