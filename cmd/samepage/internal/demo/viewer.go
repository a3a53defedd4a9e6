package demo

import (
	"context"
	"errors"
	"io"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/pubsub"
)

// runViewer looks at the frames of the base until ctx ends, at as many as it has time for:
// the base does not wait for it. It calls up when it sees all frames that come, and tell
// with what was seen, each second and at the end. look is for tests.
func runViewer(ctx context.Context, name string, look func(*frame.Message), up func(), tell func(Viewed)) (err error) {
	s, err := frame.OpenSubscriber(framesName(name), &pubsub.SubscriberOptions{BestEffort: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	up()
	v := &viewed{}
	told := time.Now()
	for {
		m, err := s.Take(ctx)
		switch {
		case err == nil:
			v.add(m)
			if look != nil {
				look(m)
			}
			if time.Since(told) >= time.Second {
				tell(v.sum())
				told = time.Now()
			}
		case ctx.Err() != nil:
			err := v.rest(s)
			tell(v.sum())
			return err
		case err == io.EOF, errors.Is(err, samepage.ErrPeerDied):
			// The demo is about to end: the supervisor asks for that.
		default:
			return err
		}
	}
}

// viewed counts frames.
type viewed struct {
	frames, missed uint64
	latency        latencies
}

func (v *viewed) add(m *frame.Message) {
	v.frames++
	v.missed += m.Missed()
	v.latency.add(time.Since(m.Time()))
}

// rest counts the frames that have come meanwhile.
func (v *viewed) rest(s *frame.Subscriber) error {
	for {
		m, ok, err := s.TryTake()
		if err == io.EOF || errors.Is(err, samepage.ErrPeerDied) {
			continue // TryTake returns it once
		}
		if !ok {
			return err
		}
		v.add(m)
	}
}

func (v *viewed) sum() Viewed {
	return Viewed{
		Frames: v.frames, Missed: v.missed,
		LatencyP50: milliseconds(v.latency.quantile(.5)), LatencyP99: milliseconds(v.latency.quantile(.99)), LatencyMax: milliseconds(v.latency.max),
	}
}
