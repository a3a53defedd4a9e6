//go:build race

package race

import (
	"errors"
	"io"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/pubsub"
)

// topic opens a topic of one publisher and of one subscriber.
func topic(w *world, o *pubsub.Options, so *pubsub.SubscriberOptions) (*pubsub.Publisher, *pubsub.Subscriber) {
	p, _, err := pubsub.OpenOrCreatePublisher("x", o)
	opened(p, err)(w.tb)
	return p, opened(pubsub.OpenSubscriber("x", so))(w.tb)
}

func cellOf(w *world, size int) (*cell.Writer, *cell.Reader) {
	wr := opened(cell.CreateWriter("x", size, &cell.Options{Holds: 1, Members: 3}))(w.tb)
	return wr, opened(cell.OpenReader("x", nil))(w.tb)
}

// sent has the first one publish a message, and the second one take it.
func sent(w *world, so *pubsub.SubscriberOptions, publish func(*pubsub.Publisher) error) (func(), func()) {
	p, s := topic(w, nil, so)
	return func() {
			w.touch()
			no(w.tb, publish(p))
		}, func() {
			must(s.Take(bg))(w.tb)
			w.touch()
		}
}

func send(p *pubsub.Publisher) error { return p.Send(bg, []byte("message")) }

// taken has the first one take a message and let it go, and the second one publish until
// it has used each slot again, or there is no room.
func taken(w *world, so *pubsub.SubscriberOptions, letGo func(*pubsub.Subscriber)) (func(), func()) {
	p, s := topic(w, small, so)
	no(w.tb, send(p))
	return func() {
			must(s.Take(bg))(w.tb)
			w.touch()
			letGo(s)
		}, func() {
			for range many {
				l := must(p.Loan(1))(w.tb)
				if ok, err := l.TryPublish(); !ok {
					no(w.tb, err)
					l.Discard()
				}
			}
			w.touch()
		}
}

// small are the options of a topic that soon uses a slot again.
var small = &pubsub.Options{Depth: 1, Members: 2, Holds: 1}

// many is more than such a topic, or a cell, has slots. The detector says nothing of a
// race when it has forgotten too much of the first goroutine.
const many = 60

var rightMessages = []program{
	{name: "topic, Send and Take", waits: true, make: func(w *world) (func(), func()) { return sent(w, nil, send) }},
	{name: "topic, Send and Take later", make: func(w *world) (func(), func()) { return sent(w, nil, send) }},
	{name: "topic, best effort", waits: true, make: func(w *world) (func(), func()) {
		return sent(w, &pubsub.SubscriberOptions{BestEffort: true}, send)
	}},
	{name: "topic, Loan and Publish", waits: true, make: func(w *world) (func(), func()) {
		return sent(w, nil, func(p *pubsub.Publisher) error {
			l := must(p.Loan(3))(w.tb)
			return l.Publish(bg)
		})
	}},
	{name: "topic, TryPublish", waits: true, make: func(w *world) (func(), func()) {
		return sent(w, nil, func(p *pubsub.Publisher) error {
			l := must(p.Loan(3))(w.tb)
			w.true(l.TryPublish())
			return nil
		})
	}},
	{name: "topic, SendAll", waits: true, make: func(w *world) (func(), func()) {
		return sent(w, nil, func(p *pubsub.Publisher) error {
			_, err := p.SendAll(bg, [][]byte{{1}, {2}})
			return err
		})
	}},
	{name: "topic, PublishAll", waits: true, make: func(w *world) (func(), func()) {
		return sent(w, nil, func(p *pubsub.Publisher) error {
			_, err := p.PublishAll(bg, []pubsub.Loan{must(p.Loan(1))(w.tb), must(p.Loan(1))(w.tb)})
			return err
		})
	}},
	{name: "topic, TryTake", make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				_, ok, err := s.TryTake()
				w.true(ok, err)
				w.touch()
			}
	}},
	{name: "topic, Messages", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				for _, err := range s.Messages(bg) {
					no(w.tb, err)
					w.touch()
					return
				}
			}
	}},
	{name: "topic, a subscriber that comes later", make: func(w *world) (func(), func()) {
		p := opened(pubsub.CreatePublisher("x", nil))(w.tb)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				s := must(pubsub.OpenSubscriber("x", nil))(w.tb)
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "topic, WaitAny", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		opened(pubsub.CreatePublisher("y", nil))(w.tb)
		t := opened(pubsub.OpenSubscriber("y", nil))(w.tb)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				must(pubsub.WaitAny(bg, t, s))(w.tb)
				w.touch()
			}
	}},
	{name: "topic, second of two publishers", waits: true, make: func(w *world) (func(), func()) {
		o := &pubsub.Options{Publishers: 2}
		opened(pubsub.CreatePublisher("x", o))(w.tb)
		p, s := topic(w, o, nil)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "typed topic", waits: true, make: func(w *world) (func(), func()) {
		p := opened(pubsub.CreatePublisherOf[int64]("x", nil))(w.tb)
		s := opened(pubsub.OpenSubscriberOf[int64]("x", nil))(w.tb)
		return func() {
				w.touch()
				must(p.SendAll(bg, []int64{1, 2}))(w.tb)
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "topic, a message that was let go", make: func(w *world) (func(), func()) {
		return taken(w, nil, (*pubsub.Subscriber).Release)
	}},
	{name: "topic, a message that was let go by best effort", make: func(w *world) (func(), func()) {
		return taken(w, &pubsub.SubscriberOptions{BestEffort: true}, func(s *pubsub.Subscriber) { no(w.tb, s.Close()) })
	}},
	{name: "topic, a subscriber that was closed", make: func(w *world) (func(), func()) {
		return taken(w, nil, func(s *pubsub.Subscriber) { no(w.tb, s.Close()) })
	}},
	{name: "topic, a message that was held", make: func(w *world) (func(), func()) {
		p, s := topic(w, small, nil)
		no(w.tb, send(p))
		m := must(s.Take(bg))(w.tb)
		h := must(m.Hold())(w.tb)
		return func() {
				w.touch()
				h.Release()
			}, func() {
				for range many {
					no(w.tb, send(p))
					must(s.Take(bg))(w.tb)
				}
				w.touch()
			}
	}},
	{name: "topic, Publish that waits for a subscriber", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, &pubsub.Options{Depth: 1}, nil)
		no(w.tb, send(p))
		return func() {
				must(s.Take(bg))(w.tb)
				w.touch()
				s.Release()
			}, func() {
				for range p.Options().Depth + 1 {
					no(w.tb, send(p))
				}
				w.touch()
			}
	}},
	{name: "topic, Lag", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		no(w.tb, send(p))
		return func() {
				must(s.Take(bg))(w.tb)
				w.touch()
				s.Release()
			}, func() {
				for p.Lag() > 0 {
					continue
				}
				w.touch()
			}
	}},
	{name: "topic, end of the stream", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, p.Close())
			}, func() {
				if _, err := s.Take(bg); err != io.EOF {
					w.tb.Fatal(err)
				}
				w.touch()
			}
	}},
	{name: "topic, a stream that is not ended", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, p.Abort())
			}, func() {
				if _, err := s.Take(bg); !errors.Is(err, samepage.ErrPeerDied) {
					w.tb.Fatal(err)
				}
				w.touch()
			}
	}},
	{name: "topic, one publisher after the other", waits: true, make: func(w *world) (func(), func()) {
		p, _ := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, p.Close())
			}, func() {
				for {
					if _, _, err := pubsub.OpenOrCreatePublisher("x", nil); err == nil {
						w.touch()
						return
					}
				}
			}
	}},
	{name: "topic, WaitSubscribers", waits: true, make: func(w *world) (func(), func()) {
		p := opened(pubsub.CreatePublisher("x", nil))(w.tb)
		return func() {
				w.touch()
				must(pubsub.OpenSubscriber("x", nil))(w.tb)
			}, func() {
				no(w.tb, p.WaitSubscribers(bg, 1))
				w.touch()
			}
	}},
	{name: "topic, WaitSubscribers, best effort", waits: true, make: func(w *world) (func(), func()) {
		p := opened(pubsub.CreatePublisher("x", nil))(w.tb)
		return func() {
				w.touch()
				must(pubsub.OpenSubscriber("x", &pubsub.SubscriberOptions{BestEffort: true}))(w.tb)
			}, func() {
				no(w.tb, p.WaitSubscribers(bg, 1))
				w.touch()
			}
	}},
	{name: "topic, the last subscriber leaves", waits: true, make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				w.touch()
				no(w.tb, s.Close())
			}, func() {
				for p.Subscribers() > 0 {
					continue
				}
				w.touch()
			}
	}},

	{name: "cell, Set and Load", make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		return func() {
				w.touch()
				no(w.tb, wr.Set(bg, []byte("v")))
			}, func() {
				_, ok, err := rd.Load()
				w.true(ok, err)
				w.touch()
			}
	}},
	{name: "cell, ReadInto", make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		return func() {
				w.touch()
				no(w.tb, wr.Set(bg, []byte("v")))
			}, func() {
				_, _, ok, err := rd.ReadInto(make([]byte, 8))
				w.true(ok, err)
				w.touch()
			}
	}},
	{name: "cell, Changed", waits: true, make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		return func() {
				w.touch()
				no(w.tb, wr.Set(bg, []byte("v")))
			}, func() {
				no(w.tb, rd.Changed(bg))
				w.touch()
			}
	}},
	{name: "cell, Values", waits: true, make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		return func() {
				w.touch()
				no(w.tb, wr.Set(bg, []byte("v")))
			}, func() {
				for _, err := range rd.Values(bg) {
					no(w.tb, err)
					w.touch()
					return
				}
			}
	}},
	{name: "cell, Updates", make: func(w *world) (func(), func()) {
		a, _ := cellOf(w, 8)
		b := opened(cell.OpenWriter("x", nil))(w.tb)
		update := func(wr *cell.Writer) {
			no(w.tb, wr.Update(bg, func(b, old []byte) (int, error) {
				w.touch()
				return 8, nil
			}))
		}
		return func() { update(a) }, func() { update(b) }
	}},
	{name: "cell, a loan that is discarded", make: func(w *world) (func(), func()) {
		a, _ := cellOf(w, 8)
		b := opened(cell.OpenWriter("x", nil))(w.tb)
		loan := func(wr *cell.Writer) {
			l := must(wr.Loan(bg, 8))(w.tb)
			w.touch()
			l.Discard()
		}
		return func() { loan(a) }, func() { loan(b) }
	}},
	{name: "typed cell", make: func(w *world) (func(), func()) {
		wr := opened(cell.CreateWriterOf[int64]("x", nil))(w.tb)
		rd := opened(cell.OpenReaderOf[int64]("x", nil))(w.tb)
		return func() {
				w.touch()
				v := int64(1)
				no(w.tb, wr.Set(bg, &v))
			}, func() {
				_, ok, err := rd.Get()
				w.true(ok, err)
				w.touch()
			}
	}},
	{name: "cell, a value that was let go", waits: true, make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		set, load := setter(w, wr), loader(w, rd)
		set()
		return func() {
				load()
				w.touch()
				w.reach(1)
				w.await(2)
				load() // another one
			}, func() {
				w.await(1)
				set()
				w.reach(2)
				w.await(ended)
				for range many {
					set()
				}
				w.touch()
			}
	}},
	{name: "cell, a value that was held", make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		set, load := setter(w, wr), loader(w, rd)
		set()
		v := load()
		h := must(v.Hold())(w.tb)
		set()
		load()
		return func() {
				w.touch()
				h.Release()
			}, func() {
				for range many {
					set()
				}
				w.touch()
			}
	}},

	{name: "frames", waits: true, make: func(w *world) (func(), func()) {
		spec := frame.Spec{Format: frame.Gray, Width: 2, Height: 2}
		p := opened(frame.CreatePublisher("x", spec, nil))(w.tb)
		s := opened(frame.OpenSubscriber("x", nil))(w.tb)
		return func() {
				l := must(p.Loan(spec))(w.tb)
				w.touch()
				no(w.tb, l.Publish(bg))
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "frames, one that was held", make: func(w *world) (func(), func()) {
		spec := frame.Spec{Format: frame.Gray, Width: 2, Height: 2}
		p := opened(frame.CreatePublisher("x", spec, small))(w.tb)
		s := opened(frame.OpenSubscriber("x", nil))(w.tb)
		pass := func() *frame.Message {
			no(w.tb, must(p.Loan(spec))(w.tb).Publish(bg))
			return must(s.Take(bg))(w.tb)
		}
		h := must(pass().Hold())(w.tb)
		return func() {
				w.touch()
				h.Release()
			}, func() {
				for range many {
					pass()
				}
				w.touch()
			}
	}},
}

func setter(w *world, wr *cell.Writer) func() {
	return func() { no(w.tb, wr.Set(bg, []byte("value"))) }
}

func loader(w *world, rd *cell.Reader) func() *cell.Value {
	return func() *cell.Value {
		v, ok, err := rd.Load()
		w.true(ok, err)
		return &v
	}
}
