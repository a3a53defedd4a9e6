package pubsub

import (
	"context"
	"errors"
	"fmt"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// replace is ReplacePublisher. Precondition: p is the zero value.
func (p *publisher) replace(ctx context.Context, name string, opts *Options, ty *layout.Type) error {
	if opts == nil {
		opts = &Options{}
	}
	ty, err := option.TypeOr(ty, opts.Schema)
	if err != nil {
		return wrap("publish to", name, err)
	}
	retry := func() bool {
		*p = publisher{}
		_, err = p.start(name, opts, ty, segment.ToOpenOrCreate)
		return errors.Is(err, samepage.ErrRetired) || errors.Is(err, samepage.ErrDiffers) || errors.Is(err, samepage.ErrKindMismatch)
	}
	busy := 0
	ended := segment.Until(ctx, func() (bool, error) {
		if !retry() {
			return true, nil
		}
		switch rerr := retire(name, opts, ty); {
		case rerr == nil:
			return !retry(), nil // at once, if nobody else has the topic open
		case segment.NotYet(rerr):
			return false, nil
		case errors.Is(rerr, samepage.ErrBusy) && busy < 2:
			busy++ // others that retire it have its lanes for a moment
			return false, nil
		default:
			err = wrap("retire", name, rerr)
			return true, nil
		}
	})
	if ended != nil {
		return fmt.Errorf("%w; waiting for its subscribers to close it: %w", err, segment.Deadline(ended))
	}
	return err
}

// retire retires the topic of that name, unless opts and ty fit to it. If nobody else uses it, its
// name is free then.
func retire(name string, opts *Options, ty *layout.Type) error {
	o := opts.spec(name)
	h, set, err := laneseg.Open(o, nil)
	if err == nil {
		fits := h.Header().CheckType(ty) == nil && opts.fits(optionsOf(&set.C)) == nil
		if !fits {
			err = laneseg.Retire(h, set)
		}
		if errors.Is(err, laneseg.ErrNoLane) {
			err = fmt.Errorf("it has a publisher: %s: %w", segment.Names(laneseg.Writers(h, set)), samepage.ErrBusy)
		}
		if err = errors.Join(err, h.Close()); fits {
			return err
		}
	}
	if err == nil || errors.Is(err, samepage.ErrRetired) {
		// A topic with the Lifetime Persist stays when all have closed it.
		if rerr := object.Remove(o); rerr != nil && !errors.Is(rerr, samepage.ErrBusy) && !segment.NotYet(rerr) {
			err = rerr
		}
	}
	return err
}
