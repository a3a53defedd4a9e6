package main

import (
	"context"
	"errors"
	"fmt"

	"samepage/ipcsync"
)

// thousand returns a thousand operations, each a and then b.
func thousand(a func(context.Context) error, b func() error) func() error {
	ctx := context.Background()
	return func() error {
		for range 1000 {
			if err := a(ctx); err != nil {
				return err
			}
			if err := b(); err != nil {
				return err
			}
		}
		return nil
	}
}

// playMutex locks and unlocks a mutex that nobody else uses.
func playMutex(o order, ready func() error) (s sample, err error) {
	m, err := ipcsync.CreateMutex(o.Name, nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := ready(); err != nil {
		return s, err
	}
	s.Mean, _, err = repeat(o.Seconds, thousand(m.Lock, m.Unlock))
	return s, err
}

// playRLock locks and unlocks a read lock that nobody else uses.
func playRLock(o order, ready func() error) (s sample, err error) {
	m, err := ipcsync.CreateRWMutex(o.Name, nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := ready(); err != nil {
		return s, err
	}
	s.Mean, _, err = repeat(o.Seconds, thousand(m.RLock, m.RUnlock))
	return s, err
}

// playReader locks and unlocks a read lock while others do the same, and counts the CPU time
// that it used. If there are more readers than CPUs, the wall clock shows how long a reader
// waited for a CPU, and nothing about the lock. The CPU time shows what an operation costs while
// as many others as there are CPUs do the same. A reader that loses its CPU while it holds the
// lock stays counted in the lock, as in real use.
func playReader(o order, ready func() error) (s sample, err error) {
	if _, err := cpuTime(); err != nil {
		return s, err
	}
	m, _, err := ipcsync.OpenOrCreateRWMutex(o.Name, nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := ready(); err != nil {
		return s, err
	}
	_, s.Mean, err = repeat(o.Seconds, thousand(m.RLock, m.RUnlock))
	return s, err
}

// playBaton walks round a ring of three mutexes behind the other process. Each takes the next
// mutex before it unlocks its own, so that the other process waits for every unlock. An
// operation is one such handover.
func playBaton(o order, ready func() error) (s sample, err error) {
	var ring [3]*ipcsync.Mutex
	for i := range ring {
		m, _, failed := ipcsync.OpenOrCreateMutex(fmt.Sprintf("%s.%d", o.Name, i), nil)
		if failed != nil {
			return s, failed
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		ring[i] = m
	}
	at := 0
	if !o.First {
		at = 1
	}
	ctx := context.Background()
	if err := ring[at].Lock(ctx); err != nil {
		return s, err
	}
	if err := ready(); err != nil {
		return s, err
	}
	// Each step is a handover to this process, and one to the other.
	s, err = trips(o, func() error {
		next := (at + 1) % len(ring)
		if err := ring[next].Lock(ctx); err != nil {
			return err
		}
		err := ring[at].Unlock()
		at = next
		return err
	})
	if err != nil {
		return s, err
	}
	return s, ring[at].Unlock()
}

// playEvents sets an event and waits for another one, in turn with the other process. An
// operation is one way.
func playEvents(o order, ready func() error) (s sample, err error) {
	ping, _, err := ipcsync.OpenOrCreateEvent(o.Name+".ping", nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, ping.Close()) }()
	pong, _, err := ipcsync.OpenOrCreateEvent(o.Name+".pong", nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, pong.Close()) }()
	if err := ready(); err != nil {
		return s, err
	}
	ctx := context.Background()
	return trips(o, func() error {
		if o.First {
			if err := ping.Set(); err != nil {
				return err
			}
			return pong.Wait(ctx)
		}
		if err := ping.Wait(ctx); err != nil {
			return err
		}
		return pong.Set()
	})
}
