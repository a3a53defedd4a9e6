package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"samepage/ipcsync"
)

// idlers is one object of each kind that can be waited for. A holder has taken each of them,
// and another member waits for it.
type idlers struct {
	mutex *ipcsync.Mutex
	rw    *ipcsync.RWMutex
	sem   *ipcsync.Semaphore
	event *ipcsync.Event
}

func newIdlers(name string) (g idlers, err error) {
	if g.mutex, _, err = ipcsync.OpenOrCreateMutex(name+".mutex", nil); err != nil {
		return g, err
	}
	if g.rw, _, err = ipcsync.OpenOrCreateRWMutex(name+".rw", nil); err != nil {
		return g, errors.Join(err, g.close())
	}
	if g.sem, _, err = ipcsync.OpenOrCreateSemaphore(name+".sem", 0, 1, nil); err != nil {
		return g, errors.Join(err, g.close())
	}
	if g.event, _, err = ipcsync.OpenOrCreateEvent(name+".event", nil); err != nil {
		return g, errors.Join(err, g.close())
	}
	return g, nil
}

func (g idlers) close() (err error) {
	if g.mutex != nil {
		err = g.mutex.Close()
	}
	if g.rw != nil {
		err = errors.Join(err, g.rw.Close())
	}
	if g.sem != nil {
		err = errors.Join(err, g.sem.Close())
	}
	if g.event != nil {
		err = errors.Join(err, g.event.Close())
	}
	return err
}

// playIdle waits for one object of each kind, in all ways at once. None of them is available.
// It returns the share of one CPU that it used, in percent.
func playIdle(o order, ready func() error) (s sample, err error) {
	if _, err := cpuTime(); err != nil {
		return s, err
	}
	holder, err := newIdlers(o.Name)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, holder.close()) }()
	waiter, err := newIdlers(o.Name)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, waiter.close()) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := errors.Join(holder.mutex.Lock(ctx), holder.rw.Lock(ctx)); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(holder.mutex.Unlock(), holder.rw.Unlock(), err) }()
	if err := ready(); err != nil {
		return s, err
	}
	waits := []func(context.Context) error{
		waiter.mutex.Lock, waiter.rw.Lock, waiter.rw.RLock, waiter.sem.Acquire, waiter.event.Wait,
		func(ctx context.Context) error {
			_, err := ipcsync.WaitAny(ctx, waiter.mutex, waiter.sem, waiter.event)
			return err
		},
	}
	failed := make(chan error)
	for _, wait := range waits {
		go func() { failed <- wait(ctx) }()
	}
	length := time.Duration(o.Seconds * float64(time.Second))
	time.Sleep(length / 10) // all are asleep
	before, err := cpuTime()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	time.Sleep(length)
	after, err := cpuTime()
	if err != nil {
		return s, err
	}
	s.Mean = 100 * (after - before).Seconds() / time.Since(begun).Seconds()
	cancel()
	for range waits {
		if e := <-failed; !errors.Is(e, context.Canceled) {
			err = errors.Join(err, fmt.Errorf("an idle wait ended with: %v", e))
		}
	}
	return s, err
}
