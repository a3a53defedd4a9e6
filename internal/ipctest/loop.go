package ipctest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// GrabLoop grabs what a base paints in a loop, which has begun, with a pause after each
// picture, until the base says that it is over. No picture may be torn, or come after a
// later one. It returns the last one and how many there were.
func GrabLoop(t testing.TB, base *Child, grab func(context.Context) (pix []byte, err error), pause func(i int) time.Duration) (last, got int) {
	t.Helper()
	ctx, over := context.WithCancel(t.Context())
	defer over()
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			pix, err := grab(ctx)
			if err != nil {
				if ctx.Err() != nil {
					err = nil
				}
				ended <- err
				return
			}
			k, err := Painted(pix)
			if err != nil || k < last {
				ended <- fmt.Errorf("picture %d, %v; it came after %d", k, err, last)
				return
			}
			last, got = k, got+1
			time.Sleep(pause(i))
		}
	}()
	if l := base.Line(); l != "ok" {
		t.Error(l)
	}
	over()
	if err := <-ended; err != nil {
		t.Fatalf("after %d pictures: %v", got, err)
	}
	return last, got
}
