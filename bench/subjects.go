package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"samepage/ipcsync"
)

// subject is something of this module that is measured, against a limit.
type subject struct {
	name string
	measurer
	limit measurer
	goal  float64 // the ratio that is wanted at the most; 0: none is set
}

var subjects = []subject{
	{"mutex uncontended", alone("mutex"), robustMutex, 1.2},
	{"mutex handover", pair{"baton", false}, futexPingPong, 1.2},
	{"handover asleep", pair{"baton", true}, futexPingPong, 1.2},
	{"handover, pthread", pair{"baton", true}, robustBaton, 0},
	{"rlock uncontended", alone("rlock"), alone("mutex"), 1.5},
	{"event ping-pong", pair{"events", false}, futexPingPong, 0},
	{"events asleep", pair{"events", true}, futexPingPong, 0},
}

var roles = map[string]role{
	"mutex":  playMutex,
	"rlock":  playRLock,
	"baton":  playBaton,
	"events": playEvents,
}

// playMutex locks and unlocks a mutex that nobody else wants.
func playMutex(o order, ready func() error) (ns float64, err error) {
	m, err := ipcsync.CreateMutex(o.Name, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := ready(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	return repeat(o.Seconds, func() error {
		for range 1000 {
			if err := m.Lock(ctx); err != nil {
				return err
			}
			if err := m.Unlock(); err != nil {
				return err
			}
		}
		return nil
	})
}

// playRLock takes a read lock that nobody else wants, and gives it back.
func playRLock(o order, ready func() error) (ns float64, err error) {
	m, err := ipcsync.CreateRWMutex(o.Name, nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := ready(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	return repeat(o.Seconds, func() error {
		for range 1000 {
			if err := m.RLock(ctx); err != nil {
				return err
			}
			if err := m.RUnlock(); err != nil {
				return err
			}
		}
		return nil
	})
}

// playBaton walks round a ring of three mutexes behind the other process: each
// takes the next one before it lets go of its own, so that every unlock is one that
// the other waits for. An operation is one such handover.
func playBaton(o order, ready func() error) (ns float64, err error) {
	var ring [3]*ipcsync.Mutex
	for i := range ring {
		m, _, failed := ipcsync.OpenOrCreateMutex(fmt.Sprintf("%s.%d", o.Name, i), nil)
		if failed != nil {
			return 0, failed
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
		return 0, err
	}
	if err := ready(); err != nil {
		return 0, err
	}
	steps := o.Count / 2 // each step is a handover to this process, and one to the other
	begun := time.Now()
	for range steps {
		next := (at + 1) % len(ring)
		if err := ring[next].Lock(ctx); err != nil {
			return 0, err
		}
		if err := ring[at].Unlock(); err != nil {
			return 0, err
		}
		at = next
	}
	ns = float64(time.Since(begun).Nanoseconds()) / float64(2*steps)
	return ns, ring[at].Unlock()
}

// playEvents sets an event and waits for another one, in turn with the other
// process. An operation is one way.
func playEvents(o order, ready func() error) (ns float64, err error) {
	ping, _, err := ipcsync.OpenOrCreateEvent(o.Name+".ping", nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ping.Close()) }()
	pong, _, err := ipcsync.OpenOrCreateEvent(o.Name+".pong", nil)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, pong.Close()) }()
	if err := ready(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	trips := o.Count / 2
	begun := time.Now()
	for range trips {
		if o.First {
			err = errors.Join(ping.Set(), pong.Wait(ctx))
		} else {
			err = errors.Join(ping.Wait(ctx), pong.Set())
		}
		if err != nil {
			return 0, err
		}
	}
	return float64(time.Since(begun).Nanoseconds()) / float64(2*trips), nil
}
