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

// grabLoop grabs the pictures of a base that sends in a loop, with a pause after each picture,
// until the last one. At the end it closes r, because r settles until the base does something. Then
// the base rests, and another receiver takes the last picture.
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

// A base sends 200 pictures of 6 MB a second, and the reader is slow.
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

// A base never rests. All pictures that come are whole, and the last one comes.
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

// The reader comes while the base writes the next picture, and the signal of the picture before is
// still there.
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

// grabBeside grabs in another goroutine, and reports which picture it got, and whether it was
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

// wantBeside fails the test if grabBeside did not get picture k, whole. The machine may not run the
// reader at the time of a step of the base. Then the reader waits for a later step, and one of the
// next pictures is right, too, if it is whole.
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

// The signal of an earlier picture comes after the reader has taken a signal and before it marks
// the next picture, which the base is writing. The reader must not take it for the signal of that
// picture.
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
