package earseimage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy/earseimage"
)

// If the worker cannot do a job, the error has a type and the text of the worker. The next job
// succeeds.
func TestMission000_26_Failures(t *testing.T) {
	ctx, dir := start(t)
	startWorker(t)
	r := newRequester(t)
	bad := filepath.Join(dir, "bad.png")
	if err := os.WriteFile(bad, []byte("not a picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := picture(t, dir, 3)
	for path, text := range map[string]string{
		bad:                               "bad.png: image: unknown format",
		filepath.Join(dir, "missing.png"): "missing.png",
		dir:                               filepath.Base(dir),
	} {
		_, err := r.Do(ctx, pngJob(path))
		wantIs(t, err, earseimage.ErrJobFailed, text)
		a, err := r.Do(ctx, pngJob(good))
		if err != nil {
			t.Fatal(err)
		}
		wantResults(t, good, a)
	}
}

// The text is cut at the end of the record.
func TestMission000_26_LongText(t *testing.T) {
	ctx, _ := start(t)
	serveHere(t, func(context.Context, earseimage.Job) ([]byte, []byte, error) {
		return nil, nil, errors.New(strings.Repeat("why", 2000))
	})
	r := newRequester(t)
	_, err := r.Do(ctx, pngJob("s"))
	wantIs(t, err, earseimage.ErrJobFailed, strings.Repeat("why", 4095/3))
}

func TestMission000_27_NoWorker(t *testing.T) {
	ctx, dir := start(t)
	r := newRequester(t)
	path := picture(t, dir, 1)
	absent := func() {
		t.Helper()
		_, err := r.Do(ctx, pngJob(path))
		wantIs(t, err, samepage.ErrPeerNotStarted, path)
	}
	absent()
	worker := startWorker(t)
	if _, err := r.Do(ctx, pngJob(path)); err != nil {
		t.Error(err)
	}
	worker.Kill()
	absent()
	worker = startWorker(t)
	if _, err := r.Do(ctx, pngJob(path)); err != nil {
		t.Error(err)
	}
	worker.Send("end")
	if l := worker.Line(); !strings.HasPrefix(l, "ended true ") {
		t.Errorf("the worker says %q", l)
	}
	absent()
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

// If the worker dies, a requester that waits for it gets an error.
func TestMission000_27_WorkerDies(t *testing.T) {
	ctx, dir := start(t)
	r := newRequester(t)
	path := picture(t, dir, 1)
	for _, how := range []string{"hang", "exit"} {
		worker := startWorker(t)
		j := pngJob(path)
		j.Extension = how
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(ctx, j)
			done <- err
		}()
		if how == "hang" {
			if l := worker.Line(); l != "hangs 1.png" {
				t.Fatal(l)
			}
			worker.Kill()
		}
		wantIs(t, <-done, samepage.ErrPeerDied)
		worker.Kill()
	}
	startWorker(t)
	a, err := r.Do(ctx, pngJob(path))
	if err != nil {
		t.Fatal(err)
	}
	wantResults(t, path, a)
}

// Do returns when its context ends, while the worker still does the job. The late answer is
// discarded. The next job waits until then, within its own context.
func TestMission000_28_Cancel(t *testing.T) {
	ctx, dir := start(t)
	worker := startWorker(t)
	r := newRequester(t)
	j, next := pngJob(picture(t, dir, 1)), pngJob(picture(t, dir, 2))
	j.Extension = "hang"
	for n := range 5 {
		jobCtx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(jobCtx, j)
			done <- err
		}()
		if l := worker.Line(); l != "hangs 1.png" {
			t.Fatal(l)
		}
		begun := time.Now()
		cancel()
		err := <-done // though the worker hangs
		t.Logf("Do returned %v after its context ended", time.Since(begun))
		wantIs(t, err, context.Canceled)

		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err = r.Do(short, next)
		cancel()
		wantIs(t, err, context.DeadlineExceeded)
		wantIs(t, err, os.ErrDeadlineExceeded)

		if n == 4 {
			break // the worker still has it
		}
		answers := make(chan *earseimage.Answer)
		go func() {
			a, err := r.Do(ctx, next)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
		select {
		case <-answers:
			t.Error("a job is done while the worker is at another one")
		default:
		}
		worker.Send("go on")
		if a := <-answers; a != nil {
			wantResults(t, next.Source, a)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Do(ctx, next); !errors.Is(err, samepage.ErrClosed) {
		t.Errorf("a job after Close: %v", err)
	}
	worker.Kill()
}

// Close ends the calls that wait.
func TestMission000_28_Close(t *testing.T) {
	ctx, dir := start(t)
	worker := startWorker(t)
	r := newRequester(t)
	j := pngJob(picture(t, dir, 1))
	j.Extension = "hang"
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := r.Do(ctx, j)
			done <- err
		}()
	}
	if l := worker.Line(); l != "hangs 1.png" {
		t.Fatal(l)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	wantIs(t, <-done, samepage.ErrClosed)
	wantIs(t, <-done, samepage.ErrClosed)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	// On Windows the worker's hands are still in the section.
	worker.Send("go on")
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		again, err := earseimage.CreateRequester(nil)
		if err == nil {
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if wantIs(t, err, fs.ErrExist); time.Since(begun) > ipctest.Patience {
			t.Fatal("the title stays taken")
		}
	}
}

// A requester is killed while the worker does its job. The next requester still gets the answer to
// its own job.
func TestEarseImageRequesterKilled(t *testing.T) {
	ctx, dir := start(t)
	worker := startWorker(t)
	old, next := picture(t, dir, 1), picture(t, dir, 2)
	for range 5 {
		c := ipctest.Start(t, "earse requester", old)
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		if l := worker.Line(); l != "hangs 1.png" {
			t.Fatal(l)
		}
		_, err := earseimage.CreateRequester(nil)
		wantIs(t, err, fs.ErrExist, "UnionRectTest")
		c.Kill()
		r := newRequester(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			a, err := r.Do(ctx, pngJob(next))
			if err != nil {
				t.Error(err)
				return
			}
			wantResults(t, next, a)
		}()
		select {
		case <-done:
			t.Error("a job is done while the worker is at another one")
		case <-time.After(20 * time.Millisecond):
		}
		worker.Send("go on")
		<-done
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// There is only one worker and one requester at a time.
func TestEarseImageOneEach(t *testing.T) {
	ctx, _ := start(t)
	serveHere(t, nil)
	wantIs(t, earseimage.Serve(ctx, nil, nil), fs.ErrExist, "EarseImage")
	c := ipctest.Start(t, "earse worker")
	if l := c.Line(); !strings.Contains(l, "another EarseImage runs") {
		t.Errorf("a second worker says %q", l)
	}
	newRequester(t)
	_, err := earseimage.CreateRequester(nil)
	wantIs(t, err, fs.ErrExist, "UnionRectTest")
}

// Both sides refuse a section with the right name and another size.
func TestEarseImageWrongSize(t *testing.T) {
	ctx, _ := start(t)
	for _, size := range []int64{4096, 3145728 + 65536} {
		m, err := samepage.Create(sectionName, size, &samepage.Options{Exact: runtime.GOOS == "windows"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = earseimage.CreateRequester(nil)
		wantIs(t, err, samepage.ErrCorrupt, fmt.Sprint(size), "3145728")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	err := earseimage.Serve(short, nil, nil)
	wantIs(t, err, os.ErrDeadlineExceeded)
	wantIs(t, err, context.DeadlineExceeded)
}

// A thousand requesters leave nothing behind.
func TestEarseImageLeavesNothing(t *testing.T) {
	ctx, dir := start(t)
	startWorker(t)
	path := picture(t, dir, 1)
	round := func(ask bool) {
		r, err := earseimage.CreateRequester(nil)
		// On Windows Close does not wait for ever for a worker that is not let run.
		for begun := time.Now(); errors.Is(err, fs.ErrExist) && time.Since(begun) < ipctest.Patience; time.Sleep(time.Millisecond) {
			r, err = earseimage.CreateRequester(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if ask {
			if _, err := r.Do(ctx, pngJob(path)); err != nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	count := func() [3]int {
		handles, mappings, err := process.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return [3]int{handles, mappings, runtime.NumGoroutine()}
	}
	for range 20 {
		round(true)
	}
	before := count()
	n := ipctest.Repeat(t, 1000, 200, "")
	for i := range n {
		round(i%10 == 0)
	}
	flat := func(after [3]int) bool {
		return after[0] <= before[0]+16 && after[1] <= before[1]+4 && after[2] <= before[2]
	}
	after := count()
	for begun := time.Now(); !flat(after) && time.Since(begun) < ipctest.Patience; after = count() {
		time.Sleep(10 * time.Millisecond) // what is on its way out
	}
	t.Logf("handles, mappings, goroutines: %v before, %v after %d requesters", before, after, n)
	if !flat(after) {
		t.Errorf("handles, mappings, goroutines were %v, and are %v after %d requesters", before, after, n)
	}
	// Nor the section, which the worker has open only while it is at a job.
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		m, err := samepage.Open(sectionName, &samepage.Options{Exact: runtime.GOOS == "windows"})
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err == nil {
			err = m.Close()
		}
		if err != nil || time.Since(begun) > ipctest.Patience {
			t.Fatal("the section is still there: ", err)
		}
	}
}
