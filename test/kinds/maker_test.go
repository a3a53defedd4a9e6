package kinds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// makers are the kinds with members, and who can make them.
//
//   - make makes the object, and then does what use waits for.
//   - use opens it as soon as it is there, and waits for what the maker does.
//   - died is the error of use if the maker dies. nil: use waits on, because others could do it.
//   - ready: use does not wait for the maker.
var makers = map[string]struct {
	make, use func(context.Context) error
	died      error
	ready     bool
}{
	"Mutex": {
		ready: true,
		make:  func(context.Context) error { return closed(ipcsync.CreateMutex("m", nil)) },
		use: func(ctx context.Context) error {
			m, err := ipcsync.AwaitMutex(ctx, "m", nil)
			if err != nil {
				return err
			}
			return errors.Join(m.Lock(ctx), m.Unlock(), m.Close())
		},
	},
	"RWMutex": {
		ready: true,
		make:  func(context.Context) error { return closed(ipcsync.CreateRWMutex("m", nil)) },
		use: func(ctx context.Context) error {
			m, err := ipcsync.AwaitRWMutex(ctx, "m", nil)
			if err != nil {
				return err
			}
			return errors.Join(m.Lock(ctx), m.Unlock(), m.Close())
		},
	},
	"Semaphore": {
		make: func(context.Context) error {
			s, err := ipcsync.CreateSemaphore("m", 0, 1, nil)
			if err != nil {
				return err
			}
			return errors.Join(s.Release(1), s.Close())
		},
		use: func(ctx context.Context) error {
			s, err := ipcsync.AwaitSemaphore(ctx, "m", nil)
			if err != nil {
				return err
			}
			return errors.Join(s.Acquire(ctx), s.Close())
		},
	},
	"Event": {
		make: func(context.Context) error {
			e, err := ipcsync.CreateEvent("m", nil)
			if err != nil {
				return err
			}
			return errors.Join(e.Set(), e.Close())
		},
		use: func(ctx context.Context) error {
			e, err := ipcsync.AwaitEvent(ctx, "m", nil)
			if err != nil {
				return err
			}
			return errors.Join(e.Wait(ctx), e.Close())
		},
	},
	"Publisher": {
		make: func(ctx context.Context) error {
			p, err := pubsub.CreatePublisher("m", nil)
			if err != nil {
				return err
			}
			return errors.Join(p.Send(ctx, []byte("a")), p.Close())
		},
		use: func(ctx context.Context) error {
			s, err := pubsub.AwaitSubscriber(ctx, "m", nil)
			if err != nil {
				return err
			}
			_, err = s.Take(ctx)
			return errors.Join(err, s.Close())
		},
	},
	"Writer": {
		died: samepage.ErrPeerNotStarted,
		make: func(ctx context.Context) error {
			w, err := cell.CreateWriter("m", 8, nil)
			if err != nil {
				return err
			}
			return errors.Join(w.Set(ctx, []byte("a")), w.Close())
		},
		use: func(ctx context.Context) error {
			r, err := cell.AwaitReader(ctx, "m", &cell.ReaderOptions{NeedsWriter: true})
			if err != nil {
				return err
			}
			return errors.Join(r.Changed(ctx), r.Close())
		},
	},
	"Worker": {
		died: samepage.ErrPeerNotStarted,
		make: func(ctx context.Context) error {
			w, err := rpc.CreateWorker("m", nil)
			if err != nil {
				return err
			}
			return serveOnce(ctx, w)
		},
		use: func(ctx context.Context) error {
			c, err := rpc.AwaitClient(ctx, "m", nil)
			if err != nil {
				return err
			}
			_, err = c.Call(ctx, []byte("a"))
			return errors.Join(err, c.Close())
		},
	},
	"Client": {
		make: func(ctx context.Context) error {
			c, err := rpc.CreateClient("m", nil)
			if err != nil {
				return err
			}
			err = c.AwaitWorker(ctx)
			if err == nil {
				_, err = c.Call(ctx, []byte("a"))
			}
			return errors.Join(err, c.Close())
		},
		use: func(ctx context.Context) error {
			w, err := rpc.AwaitWorker(ctx, "m", nil)
			if err != nil {
				return err
			}
			return serveOnce(ctx, w)
		},
	},
	"Listener": {
		died: samepage.ErrPeerDied,
		make: func(context.Context) error {
			l, err := stream.Listen("m", nil)
			if err != nil {
				return err
			}
			c, err := l.Accept()
			if err != nil {
				return err
			}
			_, err = c.Write([]byte("a"))
			return errors.Join(err, c.Close(), l.Close())
		},
		use: func(ctx context.Context) error {
			c, err := stream.Dial(ctx, "m", nil)
			if err != nil {
				return err
			}
			stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(0, 1)) })
			defer stop()
			_, err = io.ReadFull(c, make([]byte, 1))
			return errors.Join(err, c.Close())
		},
	},
}

// serveOnce answers one call, and closes w.
func serveOnce(ctx context.Context, w *rpc.Worker) error {
	once, cancel := context.WithCancel(ctx)
	defer cancel()
	err := w.Serve(once, rpc.Func(func(context.Context, []byte) ([]byte, error) { cancel(); return nil, nil }))
	if errors.Is(err, context.Canceled) {
		err = ctx.Err()
	}
	return errors.Join(err, w.Close())
}

// exists says whether there is an object of any kind of that name.
func exists(name string) bool { return infoOf(name) != nil }

func infoOf(name string) *samepage.Info {
	all, _ := samepage.List()
	for _, i := range all {
		if i.Name == name {
			return &i
		}
	}
	return nil
}

// maker makes an object of makers, and says when it has done all.
func maker(args []string) { fmt.Println("done", makers[args[0]].make(context.Background())) }

// The maker of an object is held just after the name has appeared. Those who wait for the name and
// use the object wait on, as if the maker had returned from its constructor. Then it goes on, or
// is killed.
func TestFaultMaker(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	ipctest.NeedNames(t)
	for name, k := range makers {
		for _, dies := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " dies"}[dies], func(t *testing.T) {
				ipctest.Store(t)
				held := filepath.Join(ipctest.Dir(t), "held")
				cmd := ipctest.Command(t, "maker", name)
				cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+fault.SegmentMade.String()+"@"+held)
				c := ipctest.StartCmd(t, cmd)
				for _, err := os.Stat(held); err != nil; _, err = os.Stat(held) {
					time.Sleep(time.Millisecond)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				used := make(chan error, 1)
				go func() { used <- k.use(ctx) }()
				if k.ready {
					ipctest.NoErr(t, <-used)
				} else {
					for !sleeps(t, "m") {
						select {
						case err := <-used:
							t.Fatalf("it did not wait for the maker: %v", err)
						case <-time.After(time.Millisecond):
						}
					}
				}
				if !dies {
					ipctest.NoErr(t, os.Remove(held))
					if got := c.Line(); got != "done <nil>" {
						t.Error(got)
					}
					if !k.ready {
						ipctest.NoErr(t, <-used)
					}
					return
				}
				c.Kill()
				switch {
				case k.ready:
				case k.died == nil:
					cancel()
					ipctest.WantErr(t, <-used, context.Canceled)
				default:
					ipctest.WantErr(t, <-used, k.died)
				}
				if exists("m") {
					t.Error("the name is left")
				}
			})
		}
	}
}

// sleeps says whether a member of the object sleeps.
func sleeps(t *testing.T, name string) bool {
	t.Helper()
	i := infoOf(name)
	if i == nil {
		return false
	}
	d, err := inspect.Of(*i)
	ipctest.NoErr(t, err)
	return d.Waiting() > 0
}
