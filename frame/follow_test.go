package frame_test

import (
	"context"
	"testing"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// A camera comes again with larger pictures: it replaces its topic, and Follow goes on. A message
// that is not a frame is skipped.
func TestFollow(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	camera := func(width int) *frame.Publisher {
		spec := frame.Spec{Format: frame.Gray, Width: width, Height: 4}
		p, err := frame.ReplacePublisher(ctx, "cam", spec, nil)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, p.Topic().Send(ctx, []byte("no frame")))
		l, err := p.Loan(spec)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Publish(ctx))
		return p
	}
	p := camera(4)
	if o := p.Topic().Options(); o.EvictAfter <= 0 {
		t.Errorf("a slow viewer is evicted after %v", o.EvictAfter)
	}
	turn := 0
	for m, err := range frame.Follow(ctx, "cam", nil) {
		ipctest.NoErr(t, err)
		if turn++; turn == 1 {
			st, err := pubsub.Inspect("cam", nil)
			ipctest.NoErr(t, err)
			if len(st.Members) != 2 || st.Members[1].Role != pubsub.BestEffort {
				t.Errorf("members %v", st.Members)
			}
			if m.Spec().Width != 4 || m.Since.Damaged != 1 {
				t.Errorf("%v, %v", m.Spec(), m.Since)
			}
			ipctest.NoErr(t, p.Close())
			next := make(chan *frame.Publisher)
			go func() { next <- camera(400) }()
			defer func() { ipctest.NoErr(t, (<-next).Close()) }()
			continue
		}
		if m.Spec().Width != 400 || m.Since.Damaged != 1 || !m.Since.New || !m.Since.Retired {
			t.Errorf("%v, %v", m.Spec(), m.Since)
		}
		break
	}
}
