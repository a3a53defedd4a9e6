package demo

import (
	"context"
	"errors"

	"samepage/frame"
	"samepage/pubsub"
	"samepage/rpc"
)

// runWorker answers the calls of the base until ctx ends. It calls up before the first one.
func runWorker(ctx context.Context, name string, up func()) (err error) {
	frames, err := openFrames(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, frames.Close()) }()
	w, err := rpc.OpenWorker(workerName(name), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	up()
	return unlessEnded(ctx, w.Serve(ctx, func(j *rpc.Job) error { return work(frames, j) }))
}

// openFrames opens the topic of the frames for a worker. The base waits for the answer to each
// frame, and so does not have to wait for the worker here, too.
func openFrames(name string) (*frame.Subscriber, error) {
	return frame.OpenSubscriber(framesName(name), &pubsub.SubscriberOptions{From: pubsub.FromOldest, BestEffort: true})
}

// unlessEnded returns err, but nil if ctx has ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// work answers a call with both results of a frame, or with the reason why there are none.
func work(frames *frame.Subscriber, j *rpc.Job) error {
	r, err := readRequest(j.Request())
	if err != nil {
		return err
	}
	src, err := r.picture(frames)
	if err != nil {
		return err
	}
	erased, cut, err := respond(j, r.region)
	if err == nil {
		erase(src, erased, cut, r.region)
	}
	return err
}
