package rpc_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/rpc"
)

// serviceMap has the bytes of a service, as a hostile member sees them.
type serviceMap struct {
	m  *samepage.Memory
	v  *samepage.View
	hd *layout.SegmentHeader
	c  *layout.ServiceConfig
	o  *layout.ServiceOffsets
}

func mapService(t testing.TB, name string) *serviceMap {
	t.Helper()
	m, err := samepage.Open(name, &samepage.Options{Kind: samepage.KindService})
	ipctest.NoErr(t, err)
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	b := v.Bytes()
	hd, err := layout.ParseSegment(append([]byte(nil), b[:layout.SegmentHeaderSize]...), layout.Service, m.Size())
	ipctest.NoErr(t, err)
	c, o, err := layout.ParseServiceConfig(append([]byte(nil), b[hd.Live+layout.ServiceConfigOffset:][:layout.ServiceConfigSize]...))
	ipctest.NoErr(t, err)
	return &serviceMap{m, v, hd, c, o}
}

func (h *serviceMap) close() error { return errors.Join(h.v.Close(), h.m.Close()) }

func (h *serviceMap) word(t testing.TB, off uint64) *atomic.Uint64 {
	t.Helper()
	w, err := h.v.Uint64(int(off))
	ipctest.NoErr(t, err)
	return w
}

// slot returns the offset of a call slot.
func (h *serviceMap) slot(slot int) uint64 { return h.hd.Payload + uint64(slot)*h.o.Slot }

// anywhere returns a word that members change: in the live region, the member table, or one of the
// words of a call slot.
func (h *serviceMap) anywhere(rnd *rand.Rand) uint64 {
	slot := h.slot(rnd.IntN(int(h.c.Calls)))
	switch rnd.IntN(8) {
	case 0:
		return h.hd.Live + uint64(rnd.IntN(int(h.hd.LiveSize)/8))*8
	case 1:
		return h.hd.Table + uint64(rnd.IntN(int(h.hd.Members)*layout.MemberSize/8))*8
	case 2:
		return slot + uint64(rnd.IntN(3))*8 // CallOwner
	case 3:
		return slot + h.o.Work + uint64(rnd.IntN(12))*8
	case 4:
		return slot + h.o.Ask // State
	case 5:
		return slot + h.o.Ask + uint64(rnd.IntN(5))*8
	case 6:
		return slot + h.o.Answer // Reply
	default:
		return slot + h.o.Answer + uint64(rnd.IntN(int(h.c.Parts)))*h.o.Part + uint64(rnd.IntN(3))*8
	}
}

// junk writes a value, most often one that is nearly right.
func (h *serviceMap) junk(w *atomic.Uint64, rnd *rand.Rand) {
	was := w.Load()
	switch rnd.IntN(8) {
	case 0:
		w.Store(rnd.Uint64())
	case 1:
		w.Store(^uint64(0) - uint64(rnd.IntN(3)))
	case 2:
		w.Store(uint64(rnd.IntN(1 << 10)))
	case 3:
		w.Store(was + uint64(rnd.IntN(64)) - 32)
	case 4:
		w.Store(0)
	case 5: // a state
		phase := layout.CallState(rnd.IntN(4)) << 11
		w.Store(uint64(layout.CallStateOf(phase, layout.OwnerOf(rnd.IntN(int(h.hd.Members)), uint32(rnd.IntN(4))), uint16(was>>48)+uint16(rnd.IntN(3)))))
	case 6: // a reply
		w.Store(uint64(layout.CallReplyOf(layout.CallReply(rnd.IntN(8))<<16, uint16(was)+uint16(rnd.IntN(3)), uint32(rnd.IntN(8))-4)))
	default:
		w.Store(was ^ 1<<rnd.IntN(64))
	}
}

// hostileCalls calls all methods of a client, and returns errors that are not tested.
func hostileCalls(ctx context.Context, c *rpc.Client) {
	var sum byte
	read := func(b []byte) {
		for _, x := range b {
			sum += x
		}
	}
	b, _ := c.Call(ctx, make([]byte, 64))
	read(b)
	b, _ = c.CallIdempotent(ctx, nil)
	read(b)
	for b, err := range c.Stream(ctx, make([]byte, 8)) {
		if err == nil {
			read(b)
		}
	}
	if k, err := c.Begin(ctx); err == nil {
		copy(k.Request(), "request")
		if k.Start(ctx, len(k.Request())) == nil && k.Wait(ctx) == nil {
			read(k.Response())
		}
		k.Release()
	}
	_ = c.AwaitWorker(ctx)
}

// hostileHandler calls all methods of a Job.
func hostileHandler(j *rpc.Job) error {
	var sum byte
	for _, x := range j.Request() {
		sum += x
	}
	_ = j.Idempotent()
	for range 3 {
		b, err := j.Response(j.MaxResponse())
		if err != nil {
			return err
		}
		clear(b)
		if j.Streams() {
			if err := j.Send(); err != nil {
				return err
			}
		}
	}
	select {
	case <-j.Context().Done():
	default:
	}
	if sum == 1 {
		return &rpc.Error{Code: 3, Text: "an error"}
	}
	return nil
}

// In FuzzHostileService a member writes any values into the live words, the member table and the
// words of call slots. Meanwhile others call, answer, come and leave. They may get errors, but no
// panic, fault or endless loop.
func FuzzHostileService(f *testing.F) {
	ipctest.NeedNames(f)
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(hostileService)
}

func hostileService(t *testing.T, seed uint64, flags uint8) {
	ipctest.Store(t)
	o := &rpc.Options{Calls: 2 + int(flags&3), Members: 8, Request: 64, Response: 64, Parts: 1 + int(flags>>2&3)}
	keep, err := rpc.CreateClient("s", o)
	ipctest.NoErr(t, err)
	h := mapService(t, "s")
	settings := append([]byte(nil), h.v.Bytes()[h.hd.Live+layout.ServiceConfigOffset:][:layout.ServiceConfigSize]...)

	var stop atomic.Bool
	var wg sync.WaitGroup
	short := func(f func(context.Context)) {
		ctx, cancel := context.WithTimeout(bg, time.Millisecond)
		defer cancel()
		begun := time.Now()
		f(ctx)
		if d := time.Since(begun); d > ipctest.Patience/2 {
			t.Errorf("calls with a context of a millisecond took %v", d)
		}
	}
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if i < 2 {
					w, err := rpc.OpenWorker("s", nil)
					for range 3 {
						if err == nil {
							short(func(ctx context.Context) { _ = w.Serve(ctx, hostileHandler) })
						}
					}
					if err == nil {
						_ = w.Close()
					}
					continue
				}
				c, err := rpc.OpenClient("s", nil)
				for range 3 {
					if err == nil {
						short(func(ctx context.Context) { hostileCalls(ctx, c) })
					}
				}
				if err == nil {
					_ = c.Close()
				}
				_, _ = rpc.Inspect("s", nil)
			}
		})
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(flags)))
	for range 400 {
		h.junk(h.word(t, h.anywhere(rnd)), rnd)
		if rnd.IntN(8) == 0 { // else nobody could join any more
			copy(h.v.Bytes()[h.hd.Live+layout.ServiceConfigOffset:], settings)
		}
		time.Sleep(10 * time.Microsecond)
	}
	stop.Store(true)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(ipctest.Patience):
		t.Fatal("somebody is caught in a loop, or asleep past its context")
	}
	ipctest.NoErr(t, keep.Close())
	ipctest.NoErr(t, h.close())
}

// The fuzz test with one seed after the other, for SAMEPAGE_SECONDS (make soak: 300).
func TestSoakHostileService(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Seeds(t, func(t *testing.T, seed, n uint64) { hostileService(t, seed, uint8(n)) })
}
