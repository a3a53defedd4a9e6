package baseimage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
)

// grabLoop grabs what a base sends in a loop, which has begun, with a pause after each
// picture, until the last one. It closes r, which settles until the base does something:
// when the loop is over, and the base rests, another receiver takes what is still there.
func grabLoop(t *testing.T, a *ipctest.Child, r *baseimage.Receiver, pictures int, pause func(i int) time.Duration) int {
	t.Helper()
	last, got := ipctest.GrabLoop(t, a, func(ctx context.Context) ([]byte, error) {
		f, err := r.Grab(ctx)
		if err != nil {
			return nil, err
		}
		return f.Pix(0), nil
	}, pause)
	rest := newReceiver(t, quick) // first, for the section goes with its last user
	noErr(t, r.Close())
	if last < pictures {
		mustGrab(t, rest, pictures)
		got++
	}
	noErr(t, rest.Close())
	return got
}

// Two hundred pictures of 6 MB a second, and a reader that is slow.
func TestMission003_06_BaseImageNotTorn(t *testing.T) {
	store(t)
	const pictures = 200
	ipctest.NeedNames(t)
	a := startHelper(t, "base", "create")
	r := newReceiver(t, restless)
	a.Send("loop %d 5000 1920 1080 24", pictures)
	got := grabLoop(t, a, r, pictures, func(i int) time.Duration { return time.Duration(i*7%30) * time.Millisecond })
	t.Logf("%d of %d pictures", got, pictures)
}

// A base that never rests: what comes is whole, and the last one comes.
func TestMission003_06_BaseImageFlood(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	for _, side := range []int{8, 300} {
		const pictures = 5000
		a := startHelper(t, "base", "create")
		r := newReceiver(t, restless)
		a.Send("loop %d 0 %d %d 8", pictures, side, side)
		got := grabLoop(t, a, r, pictures, func(int) time.Duration { return 0 })
		t.Logf("%d x %d: %d of %d pictures", side, side, got, pictures)
		a.Want("ok", "close")
	}
}

// The reader comes while the next picture is being written, with the signal of the one
// before still there.
func TestMission003_06_BaseImageMidWrite(t *testing.T) {
	store(t)
	b := misbehavingBase(t, 1<<20)
	const w, h = 400, 300
	// marked waits for the mark of the reader.
	marked := func(done chan string) {
		for b.length() != w*h-1 && len(done) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond) // the copy is made by now, mostly
	}
	for round := range 3 {
		k := 100 * round
		r := newReceiver(t, restless)
		b.begin(k+1, w, h, 8)
		noErr(t, b.finish())
		b.begin(k+2, w, h, 8) // before the reader has come
		done := grabBeside(patient(t), r)
		marked(done)
		noErr(t, b.finish())
		wantBeside(t, b, done, k+2, w, h)

		// Finished, and the next one begun, and finished: nobody knows of the first
		// copy. The last one comes, to who knows that the base rests.
		noErr(t, r.Close())
		r = newReceiver(t, restless)
		b.begin(k+53, w, h, 8)
		noErr(t, b.finish())
		b.begin(k+54, w, h, 8)
		ctx, stop := context.WithCancel(t.Context())
		done = grabBeside(ctx, r)
		marked(done)
		noErr(t, b.finish())
		b.begin(k+55, w, h, 8)
		noErr(t, b.finish())
		marked(done)
		stop()
		switch got := <-done; got {
		case fmt.Sprint(k+55, " <nil>"):
		case fmt.Sprint(k+54, " <nil>"), context.Canceled.Error():
			quick := newReceiver(t, quick)
			mustGrab(t, quick, k+55)
			noErr(t, quick.Close())
		default:
			t.Fatalf("grabbed %s, want %d or %d, or none yet", got, k+54, k+55)
		}
		noErr(t, r.Close())

		// The base rests while the reader copies, and begins the next one only then:
		// the copy is whole.
		r = newReceiver(t, restless)
		b.begin(k+66, w, h, 8)
		noErr(t, b.finish())
		done = grabBeside(patient(t), r)
		marked(done)
		b.begin(k+67, w, h, 8)
		wantBeside(t, b, done, k+66, w, h)
		if b.next != nil {
			noErr(t, b.finish())
		}
		noErr(t, r.Close())
	}
}

// grabBeside grabs beside the test, and says which picture it was, and whether it was
// whole.
func grabBeside(ctx context.Context, r *baseimage.Receiver) chan string {
	done := make(chan string, 1)
	go func() {
		f, err := r.Grab(ctx)
		switch {
		case errors.Is(err, context.Canceled):
			done <- context.Canceled.Error()
			return
		case err != nil:
			done <- err.Error()
			return
		}
		k, err := ipctest.Painted(f.Pix(0))
		done <- fmt.Sprint(k, err)
	}()
	return done
}

// wantBeside wants that of grabBeside to be picture k, whole. A reader that was not
// let run when the base did what was to be seen waits for what the base does next: then
// one of the next pictures, whole, is right as well.
func wantBeside(t *testing.T, b *rawBase, done chan string, k, w, h int) {
	t.Helper()
	late := false
	for next := k + 2; ; {
		select {
		case got := <-done:
			for ; late && next > k && got != fmt.Sprint(next, " <nil>"); next-- {
			}
			if !late {
				next = k
			}
			if got != fmt.Sprint(next, " <nil>") {
				t.Fatalf("grabbed %s, want %d", got, k)
			}
			if next > k {
				t.Logf("the reader was late: grabbed %d, want %d", next, k)
			}
			return
		case <-time.After(2 * time.Second):
			// One step at a time, for the reader to see each.
			late = true
			if b.next != nil {
				noErr(t, b.finish())
			} else {
				b.begin(next, w, h, 8)
				next++
			}
		}
	}
}

// The signal of an earlier picture comes after the reader has taken one, and before it
// marks the next picture, which is being written: it is not that one's.
func TestMission003_06_BaseImageOldSignal(t *testing.T) {
	store(t)
	b := misbehavingBase(t, 1<<20)
	r := newReceiver(t, restless)
	const w, h = 400, 300
	for k := 100; k <= 300; k += 100 {
		b.header(-1, w, h, 8) // the reader looks at that until it is a header
		noErr(t, b.event.Set())
		done := grabBeside(patient(t), r)
		time.Sleep(50 * time.Millisecond)
		noErr(t, b.event.Set())
		b.begin(k, w, h, 8)
		for b.length() != w*h-1 && len(done) == 0 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		noErr(t, b.finish())
		wantBeside(t, b, done, k, w, h)
	}
}
