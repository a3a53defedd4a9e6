package kinds

import (
	"context"
	"errors"
	"image"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
	"samepage/legacy/sharememory"
	"samepage/legacy/text"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
	"samepage/test/house"
)

// contextRule is in the comment of each function that waits.
const contextRule = "If the call does not have to wait, it ignores ctx."

// alwaysWait are those for which it says nothing: what they wait for is never there. One of them
// does not wait at all.
var alwaysWait = []string{
	"earseimage.Requester.Do", "earseimage.Serve",
	"rpc.Call.Start", // does not wait; the call begins only if ctx has not ended
	"rpc.Call.Do", "rpc.Call.Wait", "rpc.Call.Stream", "rpc.Client.Call", "rpc.Client.CallIdempotent", "rpc.Client.CallAppend",
	"rpc.Client.Stream", "rpc.ClientOf.Call", "rpc.ClientOf.CallIdempotent", "rpc.Worker.Serve", "rpc.WorkerOf.Serve",
}

// waits are all functions that wait, by name: what each does when it need not wait, and
// when it has to.
type waits struct {
	available, not func(ctx context.Context) error
}

// allWaits are those of all packages, on objects of this test.
func allWaits(t *testing.T) map[string]waits {
	t.Helper()
	type W = waits
	type C = context.Context
	all := map[string]waits{}
	closing := func(c io.Closer) { t.Cleanup(func() { _ = c.Close() }) }
	bg := t.Context()

	for _, name := range []string{"free", "held"} {
		m := must(ipcsync.CreateMutex(name, nil))(t)
		w := must(ipcsync.CreateRWMutex(name, nil))(t)
		s := must(ipcsync.CreateSemaphore(name, map[string]uint32{"free": 1, "held": 0}[name], 9, nil))(t)
		e := must(ipcsync.CreateEvent(name, &ipcsync.EventOptions{Set: name == "free"}))(t)
		for _, c := range []io.Closer{m, w, s, e} {
			closing(c)
		}
		if name == "held" {
			ipctest.NoErr(t, errors.Join(m.Lock(bg), w.Lock(bg)))
			t.Cleanup(func() { _, _ = m.Unlock(), w.Unlock() })
		}
		put := func(key string, f func(C) error) {
			x := all[key]
			if name == "free" {
				x.available = f
			} else {
				x.not = f
			}
			all[key] = x
		}
		put("ipcsync.Mutex.Lock", func(c C) error { return unless(m.Lock(c), m.Unlock) })
		put("ipcsync.RWMutex.Lock", func(c C) error { return unless(w.Lock(c), w.Unlock) })
		put("ipcsync.RWMutex.RLock", func(c C) error { return unless(w.RLock(c), w.RUnlock) })
		put("ipcsync.Semaphore.Acquire", func(c C) error { return unless(s.Acquire(c), func() error { return s.Release(1) }) })
		put("ipcsync.Event.Wait", func(c C) error { return unless(e.Wait(c), e.Set) })
		put("ipcsync.WaitAny", func(c C) error {
			_, err := ipcsync.WaitAny(c, s, e)
			return unless(err, func() error { return s.Release(1) })
		})

		dir := ipctest.Dir(t)
		holder := must(sharememory.NewFileLock("lock", &sharememory.FileLockOptions{Dir: dir}))(t)
		l := must(sharememory.NewFileLock("lock", &sharememory.FileLockOptions{Dir: dir}))(t)
		so := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: ipctest.Dir(t)}}
		writer := must(sharememory.CreateWriter(bg, "share-"+name, 100, so))(t)
		_, err := writer.Write(bg, []byte("value"))
		ipctest.NoErr(t, err)
		reader := must(sharememory.OpenReader("share-"+name, so))(t)
		shareHolder := must(sharememory.NewLock("share-"+name, so))(t)
		otherHolder := must(sharememory.NewLock("other-"+name, so))(t)
		for _, c := range []io.Closer{holder, l, writer, reader, shareHolder, otherHolder} {
			closing(c)
		}
		if name == "held" {
			ipctest.NoErr(t, errors.Join(holder.Lock(bg), shareHolder.Lock(bg), otherHolder.Lock(bg)))
			t.Cleanup(func() { _, _, _ = holder.Unlock(), shareHolder.Unlock(), otherHolder.Unlock() })
		}
		put("sharememory.FileLock.Lock", func(c C) error { return unless(l.Lock(c), l.Unlock) })
		put("sharememory.FileLock.RLock", func(c C) error { return unless(l.RLock(c), l.RUnlock) })
		put("sharememory.CreateWriter", func(c C) error {
			return closed(sharememory.CreateWriter(c, "other-"+name, 8, so))
		})
		put("sharememory.OpenOrCreateWriter", func(c C) error {
			w, _, err := sharememory.OpenOrCreateWriter(c, "other-"+name, 8, so)
			return closed(w, err)
		})
		put("sharememory.OpenWriter", func(c C) error {
			return closed(sharememory.OpenWriter(c, "share-"+name, so))
		})
		put("sharememory.AwaitWriter", func(c C) error {
			return closed(sharememory.AwaitWriter(c, "share-"+name, so))
		})
		put("sharememory.Writer.Write", func(c C) error { _, err := writer.Write(c, []byte("other")); return err })
		put("sharememory.Reader.Read", func(c C) error { _, err := reader.Read(c, make([]byte, 100)); return err })
		put("sharememory.Reader.Append", func(c C) error { _, err := reader.Append(c, nil); return err })
		put("sharememory.Reader.View", func(c C) error { return reader.View(c, func([]byte) error { return nil }) })
		put("sharememory.block.Stat", func(c C) error { _, err := reader.Stat(c); return err })
	}
	closing(must(text.Create("text", "", 4096))(t))
	all["text.Await"] = W{
		func(c C) error { return closed(text.Await(c, "text")) },
		func(c C) error { return closed(text.Await(c, "none")) },
	}
	supervised := func(name, helper string, o rpc.SupervisorOptions) *rpc.Supervisor {
		o.Command = func() (*exec.Cmd, error) {
			cmd, err := ipctest.Self()
			if err == nil {
				ipctest.SetHelper(cmd, helper)
			}
			return cmd, err
		}
		o.Stop = rpc.StopWithStarter
		s := must(rpc.Supervise(name, o))(t)
		closing(s)
		return s
	}
	atOnce := func(context.Context, int) error { return nil }
	never := func(c context.Context, _ int) error { <-c.Done(); return c.Err() }
	runs := supervised("runs", "stays", rpc.SupervisorOptions{Ready: atOnce})
	over := supervised("over", "ends", rpc.SupervisorOptions{Ready: atOnce, Restart: rpc.RestartOnDemand})
	unready := supervised("unready", "stays", rpc.SupervisorOptions{Ready: never})
	_ = over.Ensure(bg) // it may have ended before it was ready
	ipctest.NoErr(t, errors.Join(runs.Ensure(bg), over.Wait(bg)))
	all["rpc.Supervisor.Ensure"] = W{runs.Ensure, unready.Ensure}
	all["rpc.Supervisor.Wait"] = W{over.Wait, runs.Wait}
	all["rpc.Supervisor.End"] = W{
		func(c C) error { _, err := over.End(c, runs.PIDs()[0]); return err },
		func(c C) error { _, err := runs.End(c, runs.PIDs()[0]); return err },
	}
	all["sharememory.AwaitReader"] = W{
		func(c C) error {
			return closed(sharememory.AwaitReader(c, "share-free", nil))
		},
		func(c C) error { return closed(sharememory.AwaitReader(c, "none", nil)) },
	}

	closing(must(samepage.Create("free", 8, nil))(t))
	all["samepage.Await"] = W{
		func(c C) error { return closed(samepage.Await(c, "free", nil)) },
		func(c C) error { return closed(samepage.Await(c, "none", nil)) },
	}
	all["ipcsync.AwaitMutex"] = W{
		func(c C) error { return closed(ipcsync.AwaitMutex(c, "free", nil)) },
		func(c C) error { return closed(ipcsync.AwaitMutex(c, "none", nil)) },
	}
	all["ipcsync.AwaitRWMutex"] = W{
		func(c C) error { return closed(ipcsync.AwaitRWMutex(c, "free", nil)) },
		func(c C) error { return closed(ipcsync.AwaitRWMutex(c, "none", nil)) },
	}
	all["ipcsync.AwaitSemaphore"] = W{
		func(c C) error { return closed(ipcsync.AwaitSemaphore(c, "free", nil)) },
		func(c C) error { return closed(ipcsync.AwaitSemaphore(c, "none", nil)) },
	}
	all["ipcsync.AwaitEvent"] = W{
		func(c C) error { return closed(ipcsync.AwaitEvent(c, "free", nil)) },
		func(c C) error { return closed(ipcsync.AwaitEvent(c, "none", nil)) },
	}

	closing(must(pubsub.CreatePublisher("watched", nil))(t))
	watched := func(name string) func(C) error {
		return func(c C) error { return closed(inspect.AwaitWatcher(c, samepage.KindTopic, name, nil)) }
	}
	all["inspect.AwaitWatcher"] = W{watched("watched"), watched("not watched")}

	// Topics: a publisher has room, or its subscriber lags as far behind as it may; a
	// subscriber has a message, or none.
	room := must(pubsub.CreatePublisher("room", &pubsub.Options{Depth: 4, MaxSize: 8, Members: 4}))(t)
	full := must(pubsub.CreatePublisher("full", &pubsub.Options{Depth: 4, MaxSize: 8, Members: 4}))(t)
	fullSub := must(pubsub.OpenSubscriber("full", nil))(t)
	typedRoom := must(pubsub.CreatePublisherOf[uint64]("typed room", &pubsub.Options{Depth: 4, Members: 4}))(t)
	typedFull := must(pubsub.CreatePublisherOf[uint64]("typed full", &pubsub.Options{Depth: 4, Members: 4}))(t)
	typedFullSub := must(pubsub.OpenSubscriberOf[uint64]("typed full", nil))(t)
	packRoom := must(pubsub.CreatePublisher("pack room", &pubsub.Options{Depth: 4, MaxSize: 8, Pack: 16, Members: 4}))(t)
	packFull := must(pubsub.CreatePublisher("pack full", &pubsub.Options{Depth: 4, MaxSize: 8, Pack: 16, Members: 4}))(t)
	packFullSub := must(pubsub.OpenSubscriber("pack full", nil))(t)
	spec := frame.Spec{Format: frame.Gray, Width: 1, Height: 1}
	frameRoom := must(frame.CreatePublisher("frame room", spec, &pubsub.Options{Depth: 4, Members: 4}))(t)
	frameFull := must(frame.CreatePublisher("frame full", spec, &pubsub.Options{Depth: 4, Members: 4}))(t)
	frameFullSub := must(frame.OpenSubscriber("frame full", nil))(t)
	for _, c := range []io.Closer{room, full, fullSub, typedRoom, typedFull, typedFullSub, packRoom, packFull, packFullSub, frameRoom, frameFull, frameFullSub} {
		closing(c)
	}
	publish := func(p *pubsub.Publisher, c C) error {
		l, err := p.Loan(8)
		if err != nil {
			return err
		}
		defer l.Discard()
		return l.Publish(c)
	}
	publishFrame := func(p *frame.Publisher, c C) error {
		l, err := p.Loan(spec)
		if err != nil {
			return err
		}
		defer l.Discard()
		return l.Publish(c)
	}
	fillUp(t, func() (bool, error) { return try(full.Loan(8)) })
	fillUp(t, func() (bool, error) {
		l, err := typedFull.Loan()
		if err != nil {
			return false, err
		}
		ok, err := l.TryPublish()
		if !ok {
			l.Discard()
		}
		return ok, err
	})
	fillUp(t, func() (bool, error) {
		b, err := packFull.LoanBatch(2, 8)
		if err != nil {
			return false, err
		}
		ok, err := b.TryPublish()
		if !ok {
			b.Discard()
		}
		return ok, err
	})
	publishBatch := func(p *pubsub.Publisher, c C) error {
		b, err := p.LoanBatch(2, 8)
		if err != nil {
			return err
		}
		defer b.Discard()
		return b.Publish(c)
	}
	fillUp(t, func() (bool, error) {
		l, err := frameFull.Loan(spec)
		if err != nil {
			return false, err
		}
		ok, err := l.TryPublish()
		if !ok {
			l.Discard()
		}
		return ok, err
	})
	v := uint64(7)
	all["pubsub.Publisher.Send"] = W{func(c C) error { return room.Send(c, nil) }, func(c C) error { return full.Send(c, nil) }}
	sendAll := func(p *pubsub.Publisher) func(C) error {
		return func(c C) error { _, err := p.SendAll(c, [][]byte{{1}, {2}}); return err }
	}
	all["pubsub.Publisher.SendAll"] = W{sendAll(room), sendAll(full)}
	publishAll := func(p *pubsub.Publisher) func(C) error {
		return func(c C) error {
			l, err := p.Loan(1)
			if err != nil {
				return err
			}
			_, err = p.PublishAll(c, []pubsub.Loan{l})
			return err
		}
	}
	all["pubsub.Publisher.PublishAll"] = W{publishAll(room), publishAll(full)}
	all["pubsub.loan.Publish"] = W{func(c C) error { return publish(room, c) }, func(c C) error { return publish(full, c) }}
	all["pubsub.batch.Publish"] = W{func(c C) error { return publishBatch(packRoom, c) }, func(c C) error { return publishBatch(packFull, c) }}
	all["pubsub.PublisherOf.Send"] = W{func(c C) error { return typedRoom.Send(c, &v) }, func(c C) error { return typedFull.Send(c, &v) }}
	all["pubsub.PublisherOf.SendAll"] = W{
		func(c C) error { _, err := typedRoom.SendAll(c, []uint64{1, 2}); return err },
		func(c C) error { _, err := typedFull.SendAll(c, []uint64{1, 2}); return err },
	}
	all["frame.Loan.Publish"] = W{func(c C) error { return publishFrame(frameRoom, c) }, func(c C) error { return publishFrame(frameFull, c) }}
	all["pubsub.publisher.WaitSubscribers"] = W{func(c C) error { return full.WaitSubscribers(c, 1) }, func(c C) error { return full.WaitSubscribers(c, 2) }}
	all["pubsub.publisher.WaitReliableSubscribers"] = W{
		func(c C) error { return full.WaitReliableSubscribers(c, 1) }, func(c C) error { return full.WaitReliableSubscribers(c, 2) },
	}
	all["frame.Publisher.WaitSubscribers"] = W{
		func(c C) error { return frameFull.WaitSubscribers(c, 1) }, func(c C) error { return frameFull.WaitSubscribers(c, 2) },
	}

	// Listeners: one has a free connection, the other has none.
	closing(must(stream.Listen("free", nil))(t))
	closing(must(stream.Listen("full", &stream.Options{Connections: 1}))(t))
	closing(must(stream.Dial(bg, "full", nil))(t))
	all["stream.Dial"] = W{
		func(c C) error { return closed(stream.Dial(c, "free", nil)) }, func(c C) error { return closed(stream.Dial(c, "full", nil)) },
	}

	some := must(pubsub.CreatePublisher("some", nil))(t)
	none := must(pubsub.CreatePublisher("none yet", nil))(t)
	typedSome := must(pubsub.CreatePublisherOf[uint64]("typed some", nil))(t)
	typedNone := must(pubsub.CreatePublisherOf[uint64]("typed none", nil))(t)
	frameSome := must(frame.CreatePublisher("frame some", spec, nil))(t)
	frameNone := must(frame.CreatePublisher("frame none", spec, nil))(t)
	for _, c := range []io.Closer{some, none, typedSome, typedNone, frameSome, frameNone} {
		closing(c)
	}
	ipctest.NoErr(t, errors.Join(some.Send(bg, []byte("x")), typedSome.Send(bg, &v), publishFrame(frameSome, bg)))
	sub := func(name string, f func(c C, s *pubsub.Subscriber) error) func(C) error {
		return func(c C) error {
			s, err := pubsub.OpenSubscriber(name, nil)
			if err != nil {
				return err
			}
			defer s.Close()
			return f(c, s)
		}
	}
	typedSub := func(name string, f func(c C, s *pubsub.SubscriberOf[uint64]) error) func(C) error {
		return func(c C) error {
			s, err := pubsub.OpenSubscriberOf[uint64](name, nil)
			if err != nil {
				return err
			}
			defer s.Close()
			return f(c, s)
		}
	}
	frameSub := func(name string, f func(c C, s *frame.Subscriber) error) func(C) error {
		return func(c C) error {
			s, err := frame.OpenSubscriber(name, nil)
			if err != nil {
				return err
			}
			defer s.Close()
			return f(c, s)
		}
	}
	take := func(c C, s *pubsub.Subscriber) error { _, err := s.Take(c); return err }
	all["pubsub.Subscriber.Take"] = W{sub("some", take), sub("none yet", take)}
	takeAll := func(c C, s *pubsub.Subscriber) error { _, err := s.TakeAll(c); return err }
	all["pubsub.Subscriber.TakeAll"] = W{sub("some", takeAll), sub("none yet", takeAll)}
	messages := func(c C, s *pubsub.Subscriber) error { return first(s.Messages(c)) }
	all["pubsub.Subscriber.Messages"] = W{sub("some", messages), sub("none yet", messages)}
	waitAny := func(c C, s *pubsub.Subscriber) error { _, err := pubsub.WaitAny(c, s); return err }
	all["pubsub.WaitAny"] = W{sub("some", waitAny), sub("none yet", waitAny)}
	typedTake := func(c C, s *pubsub.SubscriberOf[uint64]) error { _, err := s.Take(c); return err }
	all["pubsub.SubscriberOf.Take"] = W{typedSub("typed some", typedTake), typedSub("typed none", typedTake)}
	typedTakeAll := func(c C, s *pubsub.SubscriberOf[uint64]) error { _, err := s.TakeAll(c); return err }
	all["pubsub.SubscriberOf.TakeAll"] = W{typedSub("typed some", typedTakeAll), typedSub("typed none", typedTakeAll)}
	typedMessages := func(c C, s *pubsub.SubscriberOf[uint64]) error { return first(s.Messages(c)) }
	all["pubsub.SubscriberOf.Messages"] = W{typedSub("typed some", typedMessages), typedSub("typed none", typedMessages)}
	frameTake := func(c C, s *frame.Subscriber) error { _, err := s.Take(c); return err }
	all["frame.Subscriber.Take"] = W{frameSub("frame some", frameTake), frameSub("frame none", frameTake)}
	frames := func(c C, s *frame.Subscriber) error { return first(s.Frames(c)) }
	all["frame.Subscriber.Frames"] = W{frameSub("frame some", frames), frameSub("frame none", frames)}
	// A topic has room for one publisher: what waits for it comes while there is none.
	for _, name := range []string{"free", "typed free", "frame free"} {
		o := &pubsub.Options{Lifetime: samepage.Persist}
		switch name {
		case "free":
			ipctest.NoErr(t, must(pubsub.CreatePublisher(name, o))(t).Close())
		case "typed free":
			ipctest.NoErr(t, must(pubsub.CreatePublisherOf[uint64](name, o))(t).Close())
		default:
			ipctest.NoErr(t, must(frame.CreatePublisher(name, spec, o))(t).Close())
		}
	}
	all["pubsub.AwaitPublisher"] = W{
		func(c C) error { return closed(pubsub.AwaitPublisher(c, "free", nil)) }, func(c C) error { return closed(pubsub.AwaitPublisher(c, "nothing", nil)) },
	}
	all["pubsub.AwaitPublisherOf"] = W{
		func(c C) error { return closed(pubsub.AwaitPublisherOf[uint64](c, "typed free", nil)) },
		func(c C) error { return closed(pubsub.AwaitPublisherOf[uint64](c, "nothing", nil)) },
	}
	all["frame.AwaitPublisher"] = W{
		func(c C) error { return closed(frame.AwaitPublisher(c, "frame free", nil)) }, func(c C) error { return closed(frame.AwaitPublisher(c, "nothing", nil)) },
	}
	all["pubsub.AwaitSubscriber"] = W{
		func(c C) error { return closed(pubsub.AwaitSubscriber(c, "some", nil)) }, func(c C) error { return closed(pubsub.AwaitSubscriber(c, "nothing", nil)) },
	}
	all["pubsub.AwaitSubscriberOf"] = W{
		func(c C) error { return closed(pubsub.AwaitSubscriberOf[uint64](c, "typed some", nil)) },
		func(c C) error { return closed(pubsub.AwaitSubscriberOf[uint64](c, "nothing", nil)) },
	}
	all["frame.AwaitSubscriber"] = W{
		func(c C) error { return closed(frame.AwaitSubscriber(c, "frame some", nil)) }, func(c C) error { return closed(frame.AwaitSubscriber(c, "nothing", nil)) },
	}

	// Cells: it is nobody's turn, or another writer's; there is a value, or none.
	turn, busy := must(cell.CreateWriter("turn", 8, nil))(t), must(cell.CreateWriter("busy", 8, nil))(t)
	at := must(cell.OpenWriter("busy", nil))(t)
	typedTurn, typedBusy := must(cell.CreateWriterOf[uint64]("typed turn", nil))(t), must(cell.CreateWriterOf[uint64]("typed busy", nil))(t)
	typedAt := must(cell.OpenWriterOf[uint64]("typed busy", nil))(t)
	empty := must(cell.OpenReader("busy", nil))(t)
	typedEmpty := must(cell.OpenReaderOf[uint64]("typed busy", nil))(t)
	ipctest.NoErr(t, errors.Join(turn.Set(bg, []byte("x")), typedTurn.Set(bg, &v)))
	l := must(at.Loan(bg, 8))(t)
	tl := must(typedAt.Loan(bg))(t)
	for _, c := range []io.Closer{turn, busy, at, typedTurn, typedBusy, typedAt, empty, typedEmpty} {
		closing(c)
	}
	t.Cleanup(l.Discard)
	t.Cleanup(tl.Discard)
	loan := func(w *cell.Writer) func(C) error {
		return func(c C) error {
			l, err := w.Loan(c, 8)
			if err == nil {
				l.Discard()
			}
			return err
		}
	}
	all["cell.Writer.Loan"] = W{loan(turn), loan(busy)}
	all["cell.Writer.Set"] = W{func(c C) error { return turn.Set(c, nil) }, func(c C) error { return busy.Set(c, nil) }}
	update := func(b, _ []byte) (int, error) { return len(b), nil }
	all["cell.Writer.Update"] = W{func(c C) error { return turn.Update(c, update) }, func(c C) error { return busy.Update(c, update) }}
	all["cell.WriterOf.Set"] = W{func(c C) error { return typedTurn.Set(c, &v) }, func(c C) error { return typedBusy.Set(c, &v) }}
	updateOf := func(*uint64) error { return nil }
	all["cell.WriterOf.Update"] = W{func(c C) error { return typedTurn.Update(c, updateOf) }, func(c C) error { return typedBusy.Update(c, updateOf) }}
	reader := func(f func(c C, r *cell.Reader) error) func(C) error {
		return func(c C) error {
			r, err := cell.OpenReader("turn", nil)
			if err != nil {
				return err
			}
			defer r.Close()
			return f(c, r)
		}
	}
	all["cell.reader.Changed"] = W{reader(func(c C, r *cell.Reader) error { return r.Changed(c) }), func(c C) error { return empty.Changed(c) }}
	all["cell.Reader.Values"] = W{
		reader(func(c C, r *cell.Reader) error { return first(r.Values(c)) }), func(c C) error { return first(empty.Values(c)) },
	}
	all["cell.ReaderOf.Changed"] = W{
		func(c C) error {
			r, err := cell.OpenReaderOf[uint64]("typed turn", nil)
			if err != nil {
				return err
			}
			defer r.Close()
			return r.Changed(c)
		},
		func(c C) error { return typedEmpty.Changed(c) },
	}
	loanOf := func(w *cell.WriterOf[uint64]) func(C) error {
		return func(c C) error {
			l, err := w.Loan(c)
			if err == nil {
				l.Discard()
			}
			return err
		}
	}
	all["cell.WriterOf.Loan"] = W{loanOf(typedTurn), loanOf(typedBusy)}
	all["cell.ReaderOf.Values"] = W{
		func(c C) error {
			r, err := cell.OpenReaderOf[uint64]("typed turn", nil)
			if err != nil {
				return err
			}
			defer r.Close()
			return first(r.Values(c))
		},
		func(c C) error { return first(typedEmpty.Values(c)) },
	}
	all["cell.AwaitWriter"] = W{
		func(c C) error { return closed(cell.AwaitWriter(c, "turn", nil)) }, func(c C) error { return closed(cell.AwaitWriter(c, "nothing", nil)) },
	}
	all["cell.AwaitWriterOf"] = W{
		func(c C) error { return closed(cell.AwaitWriterOf[uint64](c, "typed turn", nil)) },
		func(c C) error { return closed(cell.AwaitWriterOf[uint64](c, "nothing", nil)) },
	}
	all["cell.AwaitReader"] = W{
		func(c C) error { return closed(cell.AwaitReader(c, "turn", nil)) }, func(c C) error { return closed(cell.AwaitReader(c, "nothing", nil)) },
	}
	all["cell.AwaitReaderOf"] = W{
		func(c C) error { return closed(cell.AwaitReaderOf[uint64](c, "typed turn", nil)) },
		func(c C) error { return closed(cell.AwaitReaderOf[uint64](c, "nothing", nil)) },
	}

	// BaseImage: a picture is there, or none. A sender never waits but for itself.
	base := &baseimage.ReceiverOptions{Name: "samepage-test-base", Event: "samepage-test-base event", Settle: -1}
	sender := must(baseimage.CreateSender(&baseimage.SenderOptions{Name: base.Name, Event: base.Event, Size: 4096}))(t)
	grabber := must(baseimage.OpenReceiver(base))(t)
	closing(grabber)
	closing(sender)
	gray := image.NewGray(image.Rect(0, 0, 8, 8))
	f := must(frame.New(make([]byte, 4096), frame.Spec{Format: frame.Gray, Width: 8, Height: 8}))(t)
	all["baseimage.Sender.Send"] = W{available: func(c C) error { return sender.Send(c, gray) }}
	all["baseimage.Sender.SendFrame"] = W{available: func(c C) error { return sender.SendFrame(c, f) }}
	all["baseimage.Receiver.Grab"] = W{
		func(c C) error {
			if err := sender.Send(bg, gray); err != nil {
				return err
			}
			_, err := grabber.Grab(c)
			return err
		},
		func(c C) error {
			for ok := true; ok; {
				var err error
				if _, ok, err = grabber.TryGrab(); err != nil {
					return err
				}
			}
			_, err := grabber.Grab(c)
			return err
		},
	}
	all["baseimage.AwaitReceiver"] = W{
		func(c C) error { return closed(baseimage.AwaitReceiver(c, base)) },
		func(c C) error {
			return closed(baseimage.AwaitReceiver(c, &baseimage.ReceiverOptions{Name: "samepage-test-none", Event: "samepage-test-none event"}))
		},
	}
	callWaits(t, all)
	followWaits(t, all)
	return all
}

// unless undoes what was taken, unless there is an error.
func unless(err error, undo func() error) error {
	if err == nil {
		err = undo()
	}
	return err
}

// first is the error of the first turn of a loop.
func first[T any](seq func(yield func(T, error) bool)) (err error) {
	for _, e := range seq {
		return e
	}
	return errors.New("no turn")
}

// try publishes a loan if there is room.
func try(l pubsub.Loan, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	ok, err := l.TryPublish()
	if !ok {
		l.Discard()
	}
	return ok, err
}

// fillUp calls publish until there is no more room.
func fillUp(t *testing.T, publish func() (bool, error)) {
	t.Helper()
	for {
		ok, err := publish()
		ipctest.NoErr(t, err)
		if !ok {
			return
		}
	}
}

// With a context that has ended, what is available is taken, and what is not is the
// context's error: by every function that waits, in every package.
func TestEndedContext(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	all := allWaits(t)
	for name, w := range all {
		t.Run(name, func(t *testing.T) {
			for range 20 { // a choice between two that are ready is made at random
				if w.available == nil {
					break
				}
				for _, ctx := range []context.Context{canceled, late} {
					if err := w.available(ctx); err != nil {
						t.Fatalf("available: %v", err)
					}
				}
			}
			if w.not == nil {
				return
			}
			ipctest.WantErr(t, w.not(canceled), context.Canceled)
			err := w.not(late)
			ipctest.WantErr(t, err, context.DeadlineExceeded)
			ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		})
	}
	for name, comment := range house.Waiting(t) {
		if name == "ipcsync.shared.Wait" || slices.Contains(alwaysWait, name) {
			continue // that of Event
		}
		if _, ok := all[name]; !ok {
			t.Errorf("%s has a context and no row", name)
		}
		if !strings.Contains(comment, contextRule) {
			t.Errorf("the comment of %s does not say: %s", name, contextRule)
		}
	}
}
