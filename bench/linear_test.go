package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// Histories of locks are linearizable: each operation takes effect at one moment between its
// call and its return, and at these moments the lock behaves as package sync says. Here there
// are four members, all in one process so that they have one clock. The clock counts calls and
// returns: two of them never have the same time.

type lockOp int

const (
	opLock lockOp = iota
	opTryLock
	opUnlock
	opRLock
	opTryRLock
	opRUnlock
)

// lockState is a reader/writer lock: the writer, 0 for none, and the readers.
type lockState struct{ writer, readers int }

var lockModel = porcupine.Model{
	Init: func() any { return lockState{} },
	Step: func(state, in, out any) (bool, any) {
		s, ok := state.(lockState), out.(bool)
		free := s == lockState{}
		switch in.(lockOp) {
		case opLock:
			return free, lockState{writer: 1}
		case opTryLock: // it may fail for one that is just giving up
			if ok {
				return free, lockState{writer: 1}
			}
			return true, s
		case opUnlock:
			return s.writer == 1, lockState{}
		case opRLock:
			return s.writer == 0, lockState{readers: s.readers + 1}
		case opTryRLock:
			if ok {
				return s.writer == 0, lockState{readers: s.readers + 1}
			}
			return true, s
		default:
			return s.readers > 0, lockState{readers: s.readers - 1}
		}
	},
}

func TestLockHistoriesAreLinearizable(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	first, err := ipcsync.CreateRWMutex("m", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for round := range 20 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var history []porcupine.Operation
		var ms []*ipcsync.RWMutex
		var clock atomic.Int64
		for client := range 4 {
			m, err := ipcsync.OpenRWMutex("m", nil)
			if err != nil {
				t.Fatal(err)
			}
			ms = append(ms, m)
			rnd := rand.New(rand.NewPCG(uint64(round), uint64(client)))
			wg.Go(func() {
				ctx := context.Background()
				do := func(op lockOp, f func() (bool, error)) bool {
					call := clock.Add(1)
					ok, err := f()
					back := clock.Add(1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					history = append(history, porcupine.Operation{
						ClientId: client, Input: op, Output: ok, Call: call, Return: back,
					})
					return ok
				}
				plain := func(f func() error) func() (bool, error) { return func() (bool, error) { return true, f() } }
				for range 60 {
					switch rnd.IntN(4) {
					case 0:
						do(opLock, plain(func() error { return m.Lock(ctx) }))
						do(opUnlock, plain(m.Unlock))
					case 1:
						if do(opTryLock, m.TryLock) {
							do(opUnlock, plain(m.Unlock))
						}
					case 2:
						do(opRLock, plain(func() error { return m.RLock(ctx) }))
						do(opRUnlock, plain(m.RUnlock))
					default:
						if do(opTryRLock, m.TryRLock) {
							do(opRUnlock, plain(m.RUnlock))
						}
					}
				}
			})
		}
		wg.Wait()
		for _, m := range ms {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		switch res := porcupine.CheckOperationsTimeout(lockModel, history, 20*time.Second); res {
		case porcupine.Ok:
		case porcupine.Unknown:
			t.Logf("round %d: not decided in time", round)
		default:
			t.Fatalf("round %d: no order explains the history of %d operations: %s", round, len(history), fmt.Sprint(res))
		}
	}
}
