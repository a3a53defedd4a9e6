package demo

import (
	"context"
	"errors"

	"samepage"
	"samepage/frame"
	"samepage/pubsub"
)

// runWorker does what the base requests until ctx ends. It calls up when it is subscribed to
// the requests, and so misses none.
func runWorker(ctx context.Context, name string, up func()) (err error) {
	frames, err := frame.OpenSubscriber(framesName(name), &pubsub.SubscriberOptions{From: pubsub.FromNow})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, frames.Close()) }()
	results, err := openResults(ctx, name)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() { err = errors.Join(err, results.Close()) }()
	if err := publishReady(ctx, results); err != nil {
		return unlessEnded(ctx, err)
	}
	up()
	for m, err := range frames.Frames(ctx) {
		if errors.Is(err, samepage.ErrPeerDied) {
			continue // the demo is about to end
		}
		if err == nil {
			err = work(ctx, results, m)
		}
		if err != nil {
			return unlessEnded(ctx, err)
		}
	}
	// The base has ended its stream. If the worker ended now, before it is told to, the
	// supervisor could think that it had died.
	<-ctx.Done()
	return nil
}

// openResults opens the topic of the results, which the base has created. There is one
// worker: while its place is taken, the base is repairing what the previous worker left.
func openResults(ctx context.Context, name string) (*pubsub.Publisher, error) {
	for {
		p, _, err := pubsub.OpenOrCreatePublisher(resultsName(name), &pubsub.Options{MaxSize: answerHead})
		if taken := errors.Is(err, samepage.ErrBusy) || errors.Is(err, samepage.ErrTooManyMembers); !taken || ctx.Err() != nil {
			return p, err
		}
	}
}

// unlessEnded returns err, but nil if ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// work publishes both results of a frame, or the reason why there are none.
func work(ctx context.Context, results *pubsub.Publisher, m *frame.Message) error {
	l, err := bothResults(results, m)
	if err != nil {
		return publishText(ctx, results, refused, m.Seq(), err.Error())
	}
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// bothResults makes both results of a frame, in the message that will carry them.
func bothResults(results *pubsub.Publisher, m *frame.Message) (pubsub.Loan, error) {
	src, region, err := readRequest(m)
	if err != nil {
		return pubsub.Loan{}, err
	}
	l, erased, cut, err := loanResults(results, m.Seq(), region)
	if err != nil {
		return pubsub.Loan{}, err
	}
	erase(src, nrgba(erased), nrgba(cut), region)
	return l, nil
}
