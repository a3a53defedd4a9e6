package pubsub_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// logger writes the number of each message, and then acknowledges it, until it is killed.
func logger([]string) {
	opts := &pubsub.FollowOptions{SubscriberOptions: pubsub.SubscriberOptions{Reader: "logger"}}
	for m, err := range pubsub.Follow(context.Background(), "t", opts) {
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(m.Seq(), m.Since.Missed, string(m.Bytes()))
		if err := m.Acknowledge(); err != nil {
			fmt.Println("error", err)
			return
		}
	}
}

// A logger that is killed continues after the last message that it has acknowledged.
func TestNamedReaderGoesOn(t *testing.T) {
	ipctest.NeedNames(t)
	for name, pack := range map[string]int{"plain": 0, "packs": 4096} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			p := publisherWith(t, "t", &pubsub.Options{Depth: 1000, NamedReaders: 2, Publishers: 2, Pack: pack})
			defer p.Close()
			var last, next uint64
			for next = 1; next < 100; next += 10 {
				all := make([][]byte, 10)
				for i := range all {
					all[i] = fmt.Append(nil, next+uint64(i))
				}
				n, err := p.SendAll(bg, all)
				if ipctest.NoErr(t, err); n != 10 {
					t.Fatal(n)
				}
				c := ipctest.Start(t, "logger")
				var first uint64
				look := func(line string) {
					var seq, missed, text uint64
					if n, err := fmt.Sscan(line, &seq, &missed, &text); n != 3 || seq != text || missed != 0 {
						t.Fatalf("%q: %v", line, err)
					}
					if first == 0 {
						if first = seq; seq != last && seq != last+1 {
							t.Fatalf("after message %d the logger begins with %d", last, seq)
						}
					} else if seq != last+1 {
						t.Fatalf("after message %d comes %d", last, seq)
					}
					last = seq
				}
				for range 5 {
					look(c.Line())
				}
				for _, l := range c.KillAndRead() {
					look(l)
				}
			}
			s, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "logger"})
			ipctest.NoErr(t, err)
			for s.Next(0) < next {
				_, err := s.Take(bg)
				ipctest.NoErr(t, err)
			}
			ipctest.NoErr(t, s.Acknowledge())
			_, err = pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "logger"})
			ipctest.WantErr(t, err, samepage.ErrBusy, `the reader "logger" is process`)
			other, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "other"})
			ipctest.NoErr(t, err)
			_, err = pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "third"})
			ipctest.WantErr(t, err, samepage.ErrTooManyMembers, "the topic has 2 for others")
			if m, err := other.Take(bg); err != nil || m.Seq() != 1 {
				t.Errorf("a new name begins with %v, %v", m.Seq(), err)
			}
			ipctest.NoErr(t, other.Close())
			ipctest.NoErr(t, s.Close())
			ipctest.WantErr(t, s.Acknowledge(), samepage.ErrClosed)
			s, err = pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "logger"})
			ipctest.NoErr(t, err)
			if m, ok, err := s.TryTake(); ok || err != nil {
				t.Errorf("message %d was acknowledged, %v", m.Seq(), err)
			}
			ipctest.NoErr(t, s.Close())
		})
	}
}

// A subscriber begins at a message number, and tells what is gone.
func TestBeginAt(t *testing.T) {
	ipctest.NeedNames(t)
	for name, pack := range map[string]int{"plain": 0, "packs": 64} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			p := publisherWith(t, "t", &pubsub.Options{MaxSize: 8, Depth: 10, Publishers: 2, Pack: pack})
			defer p.Close()
			for i := range 10 {
				all := make([][]byte, 7) // with and without lengths
				for k := range all {
					all[k] = fmt.Append(nil, 7*i+k+1)
				}
				_, err := p.SendAll(bg, all)
				ipctest.NoErr(t, err)
			}
			for at := uint64(1); at <= 73; at++ {
				for _, best := range []bool{false, true} {
					s, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{At: []uint64{at}, BestEffort: best})
					ipctest.NoErr(t, err)
					m, ok, err := s.TryTake()
					ipctest.NoErr(t, err)
					switch {
					case ok != (at <= 70):
						t.Errorf("from %d on: a message %v", at, ok)
					case ok && (m.Seq() != at+m.Missed() || string(m.Bytes()) != fmt.Sprint(m.Seq()) || s.Next(0) != m.Seq()+1 || s.Missed() != m.Missed()):
						t.Errorf("from %d on: %d, missed %d, %q", at, m.Seq(), m.Missed(), m.Bytes())
					case ok && at > 60 && m.Missed() > 0:
						t.Errorf("from %d on: missed %d", at, m.Missed())
					}
					if ok {
						for q := m.Seq() + 1; q <= 70; q++ {
							if m, ok, err := s.TryTake(); !ok || err != nil || m.Seq() != q || string(m.Bytes()) != fmt.Sprint(q) {
								t.Errorf("from %d on: %d, want %d, %v", at, m.Seq(), q, err)
							}
						}
					}
					if n := s.Next(7); n != 0 {
						t.Error(n)
					}
					ipctest.WantErr(t, s.Acknowledge(), fs.ErrInvalid)
					ipctest.NoErr(t, s.Close())
				}
			}
		})
	}
}
