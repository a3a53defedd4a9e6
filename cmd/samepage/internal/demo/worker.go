package demo

import (
	"context"
	"errors"
	"fmt"

	"samepage/ipcsync"
)

// maxAttempts is how many workers may die over one picture.
const maxAttempts = 4

// runWorker does what the base requests until ctx ends.
func runWorker(ctx context.Context, name string, ready func()) (err error) {
	b, err := openBlock(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	bell, err := openBells(name, ipcsync.OpenEvent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bell.close()) }()
	ready()
	for {
		switch b.status.Load() { // ACQUIRE: pairs with the RELEASE in request
		case requested, working:
			work(b)
			fallthrough
		case done:
			if err := bell.done.Set(); err != nil {
				return err
			}
		}
		if err := bell.request.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// work does the job in the block, also one that a predecessor began.
func work(b *block) {
	b.status.Store(working)
	b.attempt()
	j, err := b.read()
	if err == nil && j.attempts > maxAttempts {
		err = fmt.Errorf("%d workers died over it", j.attempts-1)
	}
	if err == nil {
		err = b.results(j)
	}
	if err == nil {
		r := j.bounds()
		erase(b.image(j.source, r), b.image(j.erased, r), b.image(j.cut, r), j.region)
	}
	b.answer(j, err)
}
