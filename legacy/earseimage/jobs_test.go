package earseimage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"samepage/internal/ipctest"
	"samepage/legacy/earseimage"
)

// The answer wakes the requester by a message or an event. Then status, success and the data of the
// results are already there.
func TestMission000_22_EarseImageStatus(t *testing.T) {
	ctx, dir := start(t)
	path := picture(t, dir, 1)
	r := newRequester(t)
	m := memory(t)
	seen := make(chan [2]int32, 1)
	serveHere(t, func(_ context.Context, j earseimage.Job) ([]byte, []byte, error) {
		seen <- [2]int32{int32In(t, m, 1596), int32In(t, m, 1600)}
		return makeTwo(j.Source)
	})
	for range 3 {
		a, err := r.Do(ctx, pngJob(path))
		if err != nil {
			t.Fatal(err)
		}
		before, after := <-seen, [2]int32{int32In(t, m, 1596), int32In(t, m, 1600)}
		if before != [2]int32{0, 0} || after != [2]int32{1, 1} {
			t.Errorf("status and success are %v while the job is done, %v afterwards", before, after)
		}
		wantResults(t, path, a)
	}
	if m.Size() != 3145728 {
		t.Errorf("the section has %d bytes", m.Size())
	}
}

// A worker without a job does not poll, and a requester that waits for its answer does not, either.
func TestMission000_22_EarseImageIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 22 s")
	}
	_, dir := start(t)
	worker := startWorker(t)
	requester := ipctest.Start(t, "earse requester", picture(t, dir, 1), "rest")
	if l := requester.Line(); l != "ready" {
		t.Fatal(l)
	}
	ipctest.WantIdle(t, requester)
	if l := worker.Line(); l != "hangs 1.png" {
		t.Fatal(l)
	}
	requester.Wait() // else its job is still there, which the next worker would do
	worker.Kill()
	idle := ipctest.Start(t, "earse rest")
	ipctest.WantIdle(t, idle)
}

func init() {
	helpers["earse rest"] = func([]string) {
		fmt.Println("ok", ipctest.RestCost(func(ctx context.Context) {
			_ = earseimage.Serve(ctx, nil, nil)
		}))
	}
}

// A thousand times: one request gets two results from another process. They are at the right place
// in the section, and decode to the expected images.
func TestMission000_24_Worker(t *testing.T) {
	_, dir := start(t)
	startWorker(t)
	r := newRequester(t)
	m := memory(t)
	jobs := ipctest.Exchanges(t)
	var paths []string
	for n := range 20 {
		paths = append(paths, picture(t, dir, n))
	}
	for n := range jobs {
		path := paths[n%len(paths)]
		ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience) // of each
		a, err := r.Do(ctx, pngJob(path))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		wantResults(t, path, a)
		size := [2]int32{int32(len(a.Images[0].Data)), int32(len(a.Images[1].Data))}
		for i, at := range []int64{532, 1064} {
			got := [3]int32{int32In(t, m, at+520), int32In(t, m, at+524), int32In(t, m, at+528)}
			want := [3]int32{9796 + int32(i)*size[0], size[i], 4}
			if got != want {
				t.Errorf("result %d has offset, size and type %v, want %v", i+1, got, want)
			}
		}
		source := [3]int32{int32In(t, m, 520), int32In(t, m, 524), int32In(t, m, 528)}
		if source != [3]int32{9796, 0, 4} {
			t.Errorf("the source has offset, size and type %v", source)
		}
	}
	if _, err := (&earseimage.Answer{}).Decode(2); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("image 2: %v", err)
	}
	if _, err := (&earseimage.Answer{}).Decode(0); !errors.Is(err, image.ErrFormat) {
		t.Errorf("no image: %v", err)
	}
}

// Many goroutines use one requester, and each gets the answer to its own job.
func TestMission000_24_Goroutines(t *testing.T) {
	ctx, dir := start(t)
	startWorker(t)
	r := newRequester(t)
	var wg sync.WaitGroup
	for g := range 8 {
		path := picture(t, dir, g)
		wg.Go(func() {
			for range 20 {
				a, err := r.Do(ctx, pngJob(path))
				if err != nil {
					t.Error(err)
					return
				}
				wantResults(t, path, a)
			}
		})
	}
	wg.Wait()
}

// Results that fill the section up to the last byte fit. One byte more does not fit.
func TestMission000_25_ResultsMustFit(t *testing.T) {
	ctx, _ := start(t)
	results := make(chan [2][]byte, 1)
	logged := serveHere(t, func(context.Context, earseimage.Job) ([]byte, []byte, error) {
		r := <-results
		return r[0], r[1], nil
	})
	r := newRequester(t)
	m := memory(t)
	job := earseimage.Job{Source: "s", Type: earseimage.TIFF}
	if earseimage.Room != 3135932 {
		t.Errorf("room for %d bytes", earseimage.Room)
	}
	first, second := bytes.Repeat([]byte{1}, 3135932-1000), bytes.Repeat([]byte{2}, 1000)
	results <- [2][]byte{first, second}
	a, err := r.Do(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Images[0].Data, first) || !bytes.Equal(a.Images[1].Data, second) || a.Images[1].Type != earseimage.TIFF {
		t.Error("results that fill the section are not those of the worker")
	}
	if logged() != "" {
		t.Errorf("logged %s", logged())
	}
	fill := bytes.Repeat([]byte{0xEE}, 3145728-9796)
	for _, sizes := range [][2]int{{3135932 - 1000, 1001}, {3135932, 1}, {1, 3135932}, {3135933, 1}, {1 << 23, 1 << 23}} {
		results <- [2][]byte{make([]byte, sizes[0]), make([]byte, sizes[1])}
		if _, err := m.WriteAt(fill, 9796); err != nil {
			t.Fatal(err)
		}
		_, err := r.Do(ctx, job)
		wantIs(t, err, earseimage.ErrJobFailed, fmt.Sprintf("results have %d and %d bytes", sizes[0], sizes[1]), "3135932 fit", "too large")
		if s := int32In(t, m, 1600); s != 0 {
			t.Errorf("success is %d", s)
		}
		after := make([]byte, len(fill))
		if _, err := m.ReadAt(after, 9796); err != nil || !bytes.Equal(after, fill) {
			t.Errorf("results that do not fit were written, %v", err)
		}
	}
	if n := strings.Count(logged(), "true earseimage: worker: job for s:"); n != 5 {
		t.Errorf("ErrTooLarge was logged %d times, want 5: %s", n, logged())
	}
	results <- [2][]byte{nil, []byte("x")}
	_, err = r.Do(ctx, job)
	wantIs(t, err, earseimage.ErrJobFailed, "results have 0 and 1 bytes")
}
