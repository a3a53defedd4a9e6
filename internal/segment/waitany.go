package segment

import (
	"context"

	"samepage"
	"samepage/layout"
)

// Candidate is one of several things to wait for.
type Candidate struct {
	Handle    *Handle
	Condition Condition
}

// WaitAny waits until one of any is to be had, takes that one, and returns its
// index. Of several it takes the first.
//
// Errors: those of Wait.
func WaitAny(ctx context.Context, any []Candidate) (int, error) {
	// One goroutine a candidate sleeps until that one is to be had, and takes
	// nothing: so no two are ever taken.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type news struct {
		i   int
		err error
	}
	ch := make(chan news, len(any))
	watch := func(i int) { ch <- news{i, any[i].Handle.Wait(ctx, peek{any[i].Condition})} }
	watching := make([]bool, len(any))
	defer func() {
		// Whoever was rung for one that was then not taken passes the ring on.
		cancel()
		for i, c := range any {
			for watching[i] {
				watching[(<-ch).i] = false
			}
			if !c.Handle.broadcast && c.Condition.Holds() {
				c.Handle.Wake(1)
			}
		}
	}()
	for {
		for i, c := range any {
			if c.Handle.Closed() {
				return -1, samepage.ErrClosed
			}
			if ok, err := c.Condition.Try(); ok || err != nil {
				return i, err
			}
		}
		if err := ctx.Err(); err != nil {
			return -1, context.Cause(ctx)
		}
		for i := range any {
			if !watching[i] {
				watching[i] = true
				go watch(i)
			}
		}
		n := <-ch
		watching[n.i] = false
		if n.err != nil && ctx.Err() == nil {
			return -1, n.err
		}
	}
}

// peek is a condition that is seen and not taken.
type peek struct{ c Condition }

func (p peek) Try() (bool, error)           { return p.c.Holds(), nil }
func (p peek) Holds() bool                  { return p.c.Holds() }
func (p peek) DependsOn(k int) layout.Owner { return p.c.DependsOn(k) }
func (p peek) NeedsName() bool              { return p.c.NeedsName() }
