package kinds

import (
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
)

// What OpenOrCreate does if the object exists with other options than those of the caller. Topics
// and cells refuse: the text names each difference. They accept an object that has more room, and
// with AsItIs each one that has enough for the messages. The other kinds keep their options, and
// say so: existed is true.
func TestOtherOptions(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type closer interface{ Close() error }
	small := frame.Spec{Format: frame.Gray, Width: 4, Height: 4}
	large := frame.Spec{Format: frame.Gray, Width: 400, Height: 400}
	three := &pubsub.Options{MaxSize: 100, Depth: 8, Publishers: 3, Holds: 1}
	for _, c := range []struct {
		kind   string
		create func(name string) (closer, error)
		open   func(name string) (closer, bool, error)
		also   error    // the error also is
		want   []string // differences; nil: the object keeps its options
	}{
		{
			"topic", func(n string) (closer, error) { return pubsub.CreatePublisher(n, three) },
			func(n string) (closer, bool, error) {
				return pubsub.OpenOrCreatePublisher(n, &pubsub.Options{MaxSize: 101, Pack: 200, Depth: 9, Publishers: 4, Members: 17, Holds: 2, Loans: 3, EvictAfter: 1, Checksums: true, Times: true})
			}, samepage.ErrTooLarge,
			[]string{
				"MaxSize is 100, want 101 or more", "Pack is 0, want 200", "Depth is 8, want 9", "Publishers is 3, want 4 or more", "Members is 16, want 17 or more",
				"Holds is 1, want 2 or more", "Loans is 2, want 3 or more", "EvictAfter is 0s, want 1ns", "Checksums is false, want true", "Times is false, want true",
			},
		},
		{
			"topic with more room", func(n string) (closer, error) { return pubsub.CreatePublisher(n, three) },
			func(n string) (closer, bool, error) {
				return pubsub.OpenOrCreatePublisher(n, &pubsub.Options{MaxSize: 99, Depth: 8, Publishers: 2, Members: 2, Holds: 1, Loans: 1})
			}, nil, nil,
		},
		{
			"topic as it is", func(n string) (closer, error) { return pubsub.CreatePublisher(n, three) },
			func(n string) (closer, bool, error) {
				return pubsub.OpenOrCreatePublisher(n, &pubsub.Options{Depth: 9, Times: true, AsItIs: true})
			}, nil, nil,
		},
		{
			"topic of a type", func(n string) (closer, error) { return pubsub.CreatePublisherOf[uint64](n, three) },
			func(n string) (closer, bool, error) {
				return pubsub.OpenOrCreatePublisherOf[uint64](n, &pubsub.Options{Depth: 9})
			}, nil,
			[]string{"Depth is 8, want 9"},
		},
		{
			"topic of frames", func(n string) (closer, error) { return frame.CreatePublisher(n, small, three) },
			func(n string) (closer, bool, error) {
				return frame.OpenOrCreatePublisher(n, small, &pubsub.Options{Members: 20, Depth: 4})
			}, nil,
			[]string{"Depth is 8, want 4", "want 20 or more"},
		},
		{
			"topic of smaller frames", func(n string) (closer, error) { return frame.CreatePublisher(n, small, three) },
			func(n string) (closer, bool, error) { return frame.OpenOrCreatePublisher(n, large, nil) },
			samepage.ErrTooLarge,
			[]string{"MaxSize is ", " or more"},
		},
		{
			"topic of frames, with defaults", func(n string) (closer, error) { return frame.CreatePublisher(n, small, three) },
			func(n string) (closer, bool, error) { return frame.OpenOrCreatePublisher(n, small, nil) }, nil, nil,
		},
		{
			"cell", func(n string) (closer, error) { return cell.CreateWriter(n, 8, nil) },
			func(n string) (closer, bool, error) {
				return cell.OpenOrCreateWriter(n, 8, &cell.Options{Members: 17, Holds: 1, Checksums: true, Times: true})
			}, nil,
			[]string{"Members is 16, want 17 or more", "Holds is 0, want 1 or more", "Checksums is false, want true", "Times is false, want true"},
		},
		{
			"cell as it is", func(n string) (closer, error) { return cell.CreateWriter(n, 8, nil) },
			func(n string) (closer, bool, error) {
				return cell.OpenOrCreateWriter(n, 8, &cell.Options{Members: 17, AsItIs: true})
			}, nil, nil,
		},
		{
			"memory", func(n string) (closer, error) { return samepage.Create(n, 8, nil) },
			func(n string) (closer, bool, error) { return samepage.OpenOrCreate(n, 9, nil) }, nil, nil,
		},
		{
			"mutex", func(n string) (closer, error) { return ipcsync.CreateMutex(n, nil) },
			func(n string) (closer, bool, error) {
				return ipcsync.OpenOrCreateMutex(n, &ipcsync.Options{Members: 65})
			}, nil, nil,
		},
		{
			"event", func(n string) (closer, error) { return ipcsync.CreateEvent(n, nil) },
			func(n string) (closer, bool, error) {
				return ipcsync.OpenOrCreateEvent(n, &ipcsync.EventOptions{Manual: true})
			}, nil, nil,
		},
		{
			"semaphore", func(n string) (closer, error) { return ipcsync.CreateSemaphore(n, 1, 2, nil) },
			func(n string) (closer, bool, error) { return ipcsync.OpenOrCreateSemaphore(n, 2, 3, nil) }, nil, nil,
		},
		{
			"service", func(n string) (closer, error) { return rpc.CreateClient(n, nil) },
			func(n string) (closer, bool, error) { return rpc.OpenOrCreateClient(n, &rpc.Options{Calls: 9}) }, nil, nil,
		},
	} {
		t.Run(c.kind, func(t *testing.T) {
			first, err := c.create("object")
			ipctest.NoErr(t, err)
			second, existed, err := c.open("object")
			if c.want == nil {
				ipctest.NoErr(t, err)
				if !existed {
					t.Error("existed is false")
				}
				ipctest.NoErr(t, second.Close())
			} else {
				ipctest.WantErr(t, err, samepage.ErrDiffers, c.want...)
				if c.also != nil {
					ipctest.WantErr(t, err, c.also)
				}
			}
			ipctest.NoErr(t, first.Close())
		})
	}
}
