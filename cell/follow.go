package cell

import (
	"context"
	"iter"
	"reflect"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/layout"
)

// FollowOptions say how Follow reads. The zero value, and nil, mean the default of each field.
type FollowOptions struct {
	ReaderOptions
	// News makes Follow yield as soon as something has happened, without a value: then Followed.OK
	// returns false. The default is to tell it with the next value.
	News bool
}

// Followed is a value that Follow yields, and what has happened since the one before.
type Followed struct {
	Value
	Since samepage.Since
}

// OK says whether there is a value. It is false only with FollowOptions.News.
func (f *Followed) OK() bool { return f.r != nil }

// Follow yields the value of the cell, and then the latest value each time that it has changed,
// of all cells that have the name one after the other. It waits until there is a cell. If the
// cell is removed and has no writer any more, Follow goes on with the next cell of its name, also
// one for larger values. Followed.Since says what has happened since the value before. A value is
// good until the next turn of the loop. The end of the loop closes everything, except a cell of
// which values are held.
//
// The loop ends after an error, which it yields. Such an error is the error of ctx, or it says
// that the cell cannot be opened or read: those of OpenReader except fs.ErrNotExist, and
// samepage.ErrCorrupt. If all places of a new cell are taken, Follow waits for one. If the call
// does not have to wait, it ignores ctx.
func Follow(ctx context.Context, name string, opts *FollowOptions) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		follow(ctx, name, opts, nil,
			func() (*Reader, *reader) { r := new(Reader); return r, &r.reader },
			(*Reader).Load,
			func(v Value, since laneseg.Since, err error) bool {
				return yield(Followed{v, samepage.Since(since)}, err)
			})
	}
}

// FollowedOf is a value that FollowOf yields, and what has happened since the one before.
type FollowedOf[T any] struct {
	ValueOf[T]
	Since samepage.Since
}

// OK says whether there is a value. It is false only with FollowOptions.News.
func (f *FollowedOf[T]) OK() bool { return f.r != nil }

// FollowOf is Follow for cells of T. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrType, ErrKindMismatch (the cell, or a new one, has values of another type),
// and those of Follow.
func FollowOf[T any](ctx context.Context, name string, opts *FollowOptions) iter.Seq2[FollowedOf[T], error] {
	return func(yield func(FollowedOf[T], error) bool) {
		ty, err := layout.TypeOf(reflect.TypeFor[T]())
		if err != nil {
			yield(FollowedOf[T]{}, wrap("follow", name, err))
			return
		}
		follow(ctx, name, opts, ty,
			func() (*ReaderOf[T], *reader) { r := new(ReaderOf[T]); return r, &r.reader },
			(*ReaderOf[T]).Load,
			func(v ValueOf[T], since laneseg.Since, err error) bool {
				return yield(FollowedOf[T]{v, samepage.Since(since)}, err)
			})
	}
}

// follow is the common part of Follow and FollowOf. fresh returns a new reader.
func follow[R, V any](ctx context.Context, name string, opts *FollowOptions, ty *layout.Type, fresh func() (R, *reader), load func(R) (V, bool, error), yield func(V, laneseg.Since, error) bool) {
	if opts == nil {
		opts = &FollowOptions{}
	}
	open := func(*laneseg.Last) (*laneseg.Followed[V], error) {
		outer, r := fresh()
		if err := r.start(name, &opts.ReaderOptions, ty); err != nil {
			return nil, err
		}
		return &laneseg.Followed[V]{Handle: r.h, Close: r.Close, Take: func(ctx context.Context) (v V, err error) {
			values(ctx, r.Changed, func() (V, bool, error) { return load(outer) }, func(got V, e error) bool {
				v, err = got, e
				return false
			})
			return v, err
		}}, nil
	}
	laneseg.Follow(ctx, opts.spec(name), opts.News, open, func(v V, since laneseg.Since, err error) bool {
		if err == context.Canceled || err == context.DeadlineExceeded {
			err = wrap("follow", name, err)
		}
		return yield(v, since, err)
	})
}
