//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
	"samepage/legacy/earseimage"
)

// A 24-bit BMP: its header, and rows of a multiple of 4 bytes.
const (
	bmpHead = 54
	bmpSize = 28 // of a pixel, where its bits are told
)

func bmpStride(w int) int { return (w*3 + 3) / 4 * 4 }

func makeBMP(w, h, n int) []byte {
	b := make([]byte, bmpHead+bmpStride(w)*h)
	copy(b, "BM")
	binary.LittleEndian.PutUint32(b[2:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[10:], bmpHead)
	binary.LittleEndian.PutUint32(b[14:], 40)
	binary.LittleEndian.PutUint32(b[18:], uint32(w))
	binary.LittleEndian.PutUint32(b[22:], uint32(h))
	binary.LittleEndian.PutUint16(b[26:], 1)
	binary.LittleEndian.PutUint16(b[bmpSize:], 24)
	for y := range h {
		for x := range 3 * w {
			b[bmpHead+y*bmpStride(w)+x] = byte(n + 7*x + 13*y*y)
		}
	}
	return b
}

// makeTIFF is a baseline TIFF of 24 bits: its pixels from byte 8 on, and the directory
// behind them.
func makeTIFF(w, h int) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32([]byte("II*\x00"), uint32(8+3*w*h))
	for i := range 3 * w * h {
		b = append(b, byte(5*i+i/91))
	}
	entries := [][3]uint32{
		{256, 4, uint32(w)},
		{257, 4, uint32(h)},
		{258, 3, uint32(len(b) + 2 + 12*9 + 4)},
		{259, 3, 1},
		{262, 3, 2},
		{273, 4, 8},
		{277, 3, 3},
		{278, 4, uint32(h)},
		{279, 4, uint32(3 * w * h)},
	}
	b = le.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		n := uint32(1)
		if e[0] == 258 { // bits of each sample, behind the directory
			n = 3
		}
		b = le.AppendUint16(le.AppendUint16(b, uint16(e[0])), uint16(e[1]))
		b = le.AppendUint32(le.AppendUint32(b, n), e[2])
	}
	return append(le.AppendUint32(b, 0), 8, 0, 8, 0, 8, 0)
}

// earseTwo are the results that all workers here make of a 24-bit BMP: its negative,
// and it upside down.
func earseTwo(source []byte) (negative, flipped []byte, err error) {
	if len(source) < bmpHead || binary.LittleEndian.Uint16(source[bmpSize:]) != 24 {
		return nil, nil, errors.New("not a BMP of 24 bits")
	}
	w, h := int(binary.LittleEndian.Uint32(source[18:])), int(binary.LittleEndian.Uint32(source[22:]))
	negative = bytes.Clone(source)
	flipped = bytes.Clone(source[:bmpHead])
	stride := bmpStride(w)
	for y := range h {
		row := bmpHead + y*stride
		for x := range 3 * w {
			negative[row+x] ^= 0xFF
		}
		from := bmpHead + (h-1-y)*stride
		flipped = append(flipped, source[from:from+stride]...)
	}
	return negative, flipped, nil
}

func earsePicture(t *testing.T, w, h int) string {
	t.Helper()
	path := filepath.Join(ipctest.Dir(t), "bild ä.bmp")
	if err := os.WriteFile(path, makeBMP(w, h, w+h), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantEarse(t *testing.T, path string, a *earseimage.Answer) {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	negative, flipped, err := earseTwo(source)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Images[0].Data, negative) || !bytes.Equal(a.Images[1].Data, flipped) {
		t.Errorf("results of %d and %d bytes are not those of %s", len(a.Images[0].Data), len(a.Images[1].Data), path)
	}
	if a.Images[0].Type != earseimage.BMP || a.Images[1].Type != earseimage.BMP {
		t.Errorf("results are of types %v and %v", a.Images[0].Type, a.Images[1].Type)
	}
}

func bmpJob(path string) earseimage.Job {
	return earseimage.Job{Source: path, Type: earseimage.BMP}
}

// earseBegin is for all tests here, each with a context.
func earseBegin(t *testing.T) context.Context {
	t.Helper()
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*ipctest.Patience)
	t.Cleanup(cancel)
	return ctx
}

func earseCppWorker(t *testing.T) *ipctest.Child {
	t.Helper()
	c := start(t, "earse_worker")
	opened(t, c, "serve")
	return c
}

func earseCppRequester(t *testing.T) *ipctest.Child {
	t.Helper()
	c := start(t, "earse_requester")
	opened(t, c, "open")
	return c
}

func opened(t *testing.T, c *ipctest.Child, how string) {
	t.Helper()
	if l := c.Ask("%s", how); l != "ok top-level" && l != "ok message-only" {
		t.Fatalf("asked to %s, a C++ program says %q", how, l)
	} else {
		t.Log("a C++ program has a window: ", strings.TrimPrefix(l, "ok "))
	}
}

func earseGoRequester(t *testing.T) *earseimage.Requester {
	t.Helper()
	r, err := earseimage.CreateRequester(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// earseWorker is a Go worker, and what it has logged.
type earseWorker struct {
	mu     sync.Mutex
	errs   []error
	jobs   []earseimage.Job
	began  chan struct{} // one for each job, while there is room
	goOn   chan struct{} // a job for "hang" waits for it
	cancel context.CancelFunc
	ended  chan error
}

func earseGoWorker(t *testing.T) *earseWorker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &earseWorker{began: make(chan struct{}, 1), goOn: make(chan struct{}), cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		w.ended <- earseimage.Serve(ctx, &earseimage.WorkerOptions{
			Ready: func() { close(ready) },
			Log: func(err error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.errs = append(w.errs, err)
			},
		}, w.do)
	}()
	select {
	case <-ready:
	case err := <-w.ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-w.ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return w
}

func (w *earseWorker) do(_ context.Context, j earseimage.Job) ([]byte, []byte, error) {
	w.mu.Lock()
	w.jobs = append(w.jobs, j)
	w.mu.Unlock()
	select {
	case w.began <- struct{}{}:
	default:
	}
	if strings.HasPrefix(filepath.Base(j.Source), "hang") {
		<-w.goOn
	}
	source, err := os.ReadFile(j.Source)
	if err != nil {
		return nil, nil, err
	}
	return earseTwo(source)
}

// wantLog wants one more error in the log, with the texts. It may come a moment after
// the requester has gone on.
func (w *earseWorker) wantLog(t *testing.T, target error, texts ...string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		errs := w.errs
		if len(errs) > 0 {
			w.errs = nil
		}
		w.mu.Unlock()
		if len(errs) == 0 && time.Since(begun) < ipctest.Patience {
			continue
		}
		if len(errs) != 1 {
			t.Errorf("logged %v, want one error", errs)
			return
		}
		t.Log("logged ", errs[0])
		for _, s := range texts {
			if !strings.Contains(errs[0].Error(), s) {
				t.Errorf("logged %v, want %q in it", errs[0], s)
			}
		}
		if target != nil && !errors.Is(errs[0], target) {
			t.Errorf("logged %v, want %v", errs[0], target)
		}
		return
	}
}

func (w *earseWorker) wantNoLog(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.errs) > 0 {
		t.Errorf("logged %v", w.errs)
	}
}

// The C++ programs among themselves, so that one knows whose fault it is.
func TestEarseImageCppWithCpp(t *testing.T) {
	earseBegin(t)
	path := earsePicture(t, 37, 21)
	requester := earseCppRequester(t)
	requester.Want("ok no worker", "job 1 %s", path)
	worker := earseCppWorker(t)
	requester.Want("ok 20 right", "jobs 20 1 %s", path)
	requester.Want("ok failed", "job 1 %s.missing", path)
	worker.Want("ok 21", "jobs")
}

func TestMission000_24_GoAsksCpp(t *testing.T) {
	ctx := earseBegin(t)
	each := func(job earseimage.Job, r *earseimage.Requester) (*earseimage.Answer, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ipctest.Patience)
		defer cancel()
		return r.Do(ctx, job)
	}
	worker := earseCppWorker(t)
	r := earseGoRequester(t)
	n := ipctest.Exchanges(t)
	small, large := earsePicture(t, 37, 21), earsePicture(t, 700, 700) // 1.5 MB each
	for i := range n {
		path := small
		if i%50 == 0 {
			path = large
		}
		a, err := each(bmpJob(path), r)
		if err != nil {
			t.Fatalf("job %d: %v", i, err)
		}
		wantEarse(t, path, a)
	}
	worker.Want(fmt.Sprint("ok ", n), "jobs")
	if _, err := each(earseimage.Job{Source: large + ".missing", Type: earseimage.TIFF}, r); err == nil {
		t.Error("a job for a missing file")
	}
	worker.Want("ok 6 "+large+".missing", "last")
}

func TestMission000_24_CppAsksGo(t *testing.T) {
	earseBegin(t)
	w := earseGoWorker(t)
	requester := earseCppRequester(t)
	n := ipctest.Exchanges(t)
	path := earsePicture(t, 37, 21)
	for left := n - 1; left > 0; left -= min(left, 100) { // each answer in time
		part := min(left, 100)
		requester.Want(fmt.Sprintf("ok %d right", part), "jobs %d 1 %s", part, path)
	}
	requester.Want("ok right", "job 1 %s", earsePicture(t, 700, 700))
	requester.Want("ok 16 right", "chain 16 1 %s", path) // each from within the answer to the one before
	w.wantNoLog(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.jobs) != n+16 || w.jobs[0].Source != path || w.jobs[0].Type != earseimage.BMP {
		t.Errorf("%d jobs, the first is %v", len(w.jobs), w.jobs[0])
	}
}

func wantEarseErr(t *testing.T, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
	for _, s := range texts {
		if err != nil && !strings.Contains(err.Error(), s) {
			t.Errorf("error is %v, want %q in it", err, s)
		}
	}
}

// Whatever a C++ worker answers, the requester says what is wrong, and goes on.
func TestEarseImageBadCppWorker(t *testing.T) {
	ctx := earseBegin(t)
	worker := earseCppWorker(t)
	r := earseGoRequester(t)
	path := earsePicture(t, 37, 21)
	for _, c := range []struct {
		how, text string
		want      error
	}{
		{"negative", "at -4096", samepage.ErrCorrupt},
		{"huge", "2147483647 bytes", samepage.ErrCorrupt},
		{"empty", "0 bytes at 0", samepage.ErrCorrupt},
		{"overlap", "overlap", samepage.ErrCorrupt},
		{"odd", "success 7", samepage.ErrCorrupt},
		{"silent", "has taken the job and has sent no answer", earseimage.ErrJobFailed},
	} {
		worker.Want("ok", "do %s", c.how)
		_, err := r.Do(ctx, bmpJob(path))
		wantEarseErr(t, err, c.want, c.text, path)
		worker.Want("ok", "do right")
		if a, err := r.Do(ctx, bmpJob(path)); err != nil {
			t.Errorf("after %s: %v", c.how, err)
		} else {
			wantEarse(t, path, a)
		}
	}
	_, err := r.Do(ctx, bmpJob(path+".missing")) // 000-26
	wantEarseErr(t, err, earseimage.ErrJobFailed, "it gave no reason")

	// Success is written long before the data: only the message counts.
	worker.Want("ok", "do early 100")
	a, err := r.Do(ctx, bmpJob(path))
	if err != nil {
		t.Fatal(err)
	}
	wantEarse(t, path, a)
}

// 000-28: a C++ worker that hangs in the job keeps nobody, and its late answer is not
// taken for one to the next job.
func TestMission000_28_CppWorkerHangs(t *testing.T) {
	ctx := earseBegin(t)
	worker := earseCppWorker(t)
	r := earseGoRequester(t)
	first, second := earsePicture(t, 37, 21), earsePicture(t, 21, 37)
	for range 3 {
		worker.Want("ok", "do hang 600000")
		jobCtx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(jobCtx, bmpJob(first))
			done <- err
		}()
		worker.Want("ok", "began")
		begun := time.Now()
		cancel()
		wantEarseErr(t, <-done, context.Canceled)
		t.Logf("Do returned %v after its context ended", time.Since(begun))
		worker.Want("ok", "do right")
		answers := make(chan *earseimage.Answer, 1)
		go func() {
			a, err := r.Do(ctx, bmpJob(second))
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
		select {
		case <-answers:
			t.Fatal("a job is done while the worker is at another one")
		case <-time.After(20 * time.Millisecond):
		}
		worker.Want("ok", "resume")
		if a := <-answers; a != nil {
			wantEarse(t, second, a)
		}
		worker.Want("ok", "began")
	}
}

// 000-27: no worker, one that dies in the job, and one that is killed.
func TestMission000_27_CppWorkerGone(t *testing.T) {
	ctx := earseBegin(t)
	r := earseGoRequester(t)
	path := earsePicture(t, 37, 21)
	for _, how := range []string{"die", "hang 600000"} {
		_, err := r.Do(ctx, bmpJob(path))
		wantEarseErr(t, err, samepage.ErrPeerNotStarted)
		worker := earseCppWorker(t)
		worker.Want("ok", "do %s", how)
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(ctx, bmpJob(path))
			done <- err
		}()
		if how != "die" {
			worker.Want("ok", "began")
			worker.Kill()
		}
		wantEarseErr(t, <-done, samepage.ErrPeerDied)
		worker.Kill()
	}
	earseCppWorker(t)
	a, err := r.Do(ctx, bmpJob(path))
	if err != nil {
		t.Fatal(err)
	}
	wantEarse(t, path, a)
}

// A title that a C++ program has is taken.
func TestEarseImageTitlesTaken(t *testing.T) {
	ctx := earseBegin(t)
	earseCppWorker(t)
	wantEarseErr(t, earseimage.Serve(ctx, nil, nil), fs.ErrExist, "EarseImage")
	earseCppRequester(t)
	_, err := earseimage.CreateRequester(nil)
	wantEarseErr(t, err, fs.ErrExist, "UnionRectTest")
}

// Whatever a C++ requester sends, the worker says what is wrong, and goes on.
func TestEarseImageBadCppRequester(t *testing.T) {
	earseBegin(t)
	w := earseGoWorker(t)
	path := earsePicture(t, 37, 21)

	small := start(t, "earse_requester")
	opened(t, small, "open 65536")
	small.Want("ok unanswered", "job 1 %s", path)
	w.wantLog(t, samepage.ErrCorrupt, "65536", "3145728")
	small.Kill()

	requester := earseCppRequester(t)
	requester.Want("ok right", "job 1 %s", path)
	requester.Want("ok failed", "unnamed") // 000-26
	w.wantLog(t, samepage.ErrCorrupt, "NUL")
	if l := requester.Ask("record"); !strings.HasPrefix(l, "ok 1 0 the name of the source, ") {
		t.Errorf("the record has %q", l)
	}
	requester.Want("ok failed", "job 1 %s.missing", path)
	w.wantLog(t, fs.ErrNotExist, ".missing")
	requester.Want("ok failed", "job 1 %s", program(t, "earse_worker")) // a bad picture
	w.wantLog(t, nil, "not a BMP")
	requester.Want("ok 16 right", "chain 17 1 %s", path)
	w.wantLog(t, nil, "more than 16 deep")

	// One that hangs when it is told.
	requester.Want("ok", "answered hang 600000")
	requester.Want("ok", "begin 1 %s", path)
	w.wantLog(t, os.ErrDeadlineExceeded, "not taken")
	requester.Want("ok", "resume")
	requester.Want("ok right", "end")
	requester.Want("ok", "answered take")
	requester.Want("ok 3 right", "jobs 3 1 %s", path)

	// One that dies when it is told.
	requester.Want("ok", "answered die")
	requester.Want("ok", "begin 1 %s", path)
	if !requester.EndsWithin(ipctest.Patience) {
		t.Error("the requester lives")
	}
	w.wantLog(t, syserr.ErrPeerNotStarted, "not taken")
	requester = earseCppRequester(t)
	requester.Want("ok 3 right", "jobs 3 1 %s", path)
	w.wantNoLog(t)
}

// A C++ requester that is killed while the Go worker is at its job.
func TestEarseImageCppRequesterKilled(t *testing.T) {
	ctx := earseBegin(t)
	w := earseGoWorker(t)
	path := earsePicture(t, 37, 21)
	hang := filepath.Join(filepath.Dir(path), "hang.bmp")
	if err := os.WriteFile(hang, makeBMP(3, 3, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		requester := earseCppRequester(t)
		requester.Want("ok", "begin 1 %s", hang)
		<-w.began
		requester.Kill()
		if i%2 == 0 {
			w.goOn <- struct{}{}
			w.wantLog(t, syserr.ErrPeerNotStarted, "not taken")
		} else { // the next one is there before the worker is done
			r := earseGoRequester(t)
			time.AfterFunc(20*time.Millisecond, func() { w.goOn <- struct{}{} })
			a, err := r.Do(ctx, bmpJob(path))
			if err != nil {
				t.Fatal(err)
			}
			wantEarse(t, path, a)
			<-w.began
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		w.wantNoLog(t)
	}
}

// 000-25: what does not fit is told to a C++ requester as a failure.
func TestMission000_25_CppRequester(t *testing.T) {
	earseBegin(t)
	w := earseGoWorker(t)
	requester := earseCppRequester(t)
	requester.Want("ok failed", "job 1 %s", earsePicture(t, 800, 800))
	w.wantLog(t, samepage.ErrTooLarge, "3135932")
	requester.Want("ok right", "job 1 %s", earsePicture(t, 720, 720))
}

// Opening and closing beside a C++ worker leaves nothing here.
func TestEarseImageRequestersLeaveNothing(t *testing.T) {
	ctx := earseBegin(t)
	earseCppWorker(t)
	path := earsePicture(t, 5, 5)
	round := func() {
		r, err := earseimage.CreateRequester(nil)
		// Close does not wait for ever for a worker that is not let run.
		for begun := time.Now(); errors.Is(err, fs.ErrExist) && time.Since(begun) < ipctest.Patience; time.Sleep(time.Millisecond) {
			r, err = earseimage.CreateRequester(nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Do(ctx, bmpJob(path)); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	count := func() []int {
		handles, mappings, err := process.Usage()
		if err != nil {
			t.Fatal(err)
		}
		return []int{handles, mappings, runtime.NumGoroutine()}
	}
	for range 20 {
		round()
	}
	before := count()
	for range 1000 {
		round()
	}
	flat := func(after []int) bool {
		return !slices.ContainsFunc([]int{0, 1, 2}, func(i int) bool { return after[i] > before[i]+16 })
	}
	after := count()
	for begun := time.Now(); !flat(after) && time.Since(begun) < ipctest.Patience; after = count() {
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("handles, mappings, goroutines: %v before, %v after a thousand requesters", before, after)
	if !flat(after) {
		t.Errorf("handles, mappings, goroutines were %v, and are %v", before, after)
	}
}

// pixels of a 24-bit BMP, by row from above.
func earsePixels(t *testing.T, path string) (w, h int, at func(x, y int) [3]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < bmpHead || binary.LittleEndian.Uint16(b[bmpSize:]) != 24 {
		t.Fatalf("%s is no BMP of 24 bits", path)
	}
	head := int(binary.LittleEndian.Uint32(b[10:]))
	w, h = int(binary.LittleEndian.Uint32(b[18:])), int(binary.LittleEndian.Uint32(b[22:]))
	if len(b) < head+bmpStride(w)*h {
		t.Fatalf("%s has %d bytes", path, len(b))
	}
	return w, h, func(x, y int) [3]byte { return [3]byte(b[head+(h-1-y)*bmpStride(w)+3*x:]) }
}

// wantPixels holds a file against what each pixel should be.
func wantPixels(t *testing.T, path string, width, height int, want func(x, y int) [3]byte) {
	t.Helper()
	w, h, at := earsePixels(t, path)
	if w != width || h != height {
		t.Errorf("%s has %d x %d pixels, want %d x %d", path, w, h, width, height)
		return
	}
	for y := range h {
		for x := range w {
			if at(x, y) != want(x, y) {
				t.Fatalf("%s has %v at %d,%d, want %v", path, at(x, y), x, y, want(x, y))
			}
		}
	}
}

// The command asks a C++ worker.
func TestEarseImageCommandAsksCpp(t *testing.T) {
	earseBegin(t)
	worker := earseCppWorker(t)
	path := earsePicture(t, 37, 21)
	out1, out2 := filepath.Join(filepath.Dir(path), "1.bmp"), filepath.Join(filepath.Dir(path), "2.bmp")
	args := []string{"legacy", "earseimage", "request", path, "--out1", out1, "--out2", out2, "--timeout", "5m"}
	said := samepageRun(t, "", args...)
	if strings.Count(said, "37 x 21 pixels, from BMP of 2406 bytes") != 2 {
		t.Errorf("the command says %s", said)
	}
	w, h, at := earsePixels(t, path)
	wantPixels(t, out1, w, h, func(x, y int) [3]byte {
		p := at(x, y)
		return [3]byte{^p[0], ^p[1], ^p[2]}
	})
	wantPixels(t, out2, w, h, func(x, y int) [3]byte { return at(x, h-1-y) })
	worker.Want("ok 1 "+path, "last")
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	negative, flipped, err := earseTwo(source)
	if err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string][]byte{out1: negative, out2: flipped} {
		if b, err := os.ReadFile(out); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s is not what the worker has made, %v", out, err)
		}
	}

	worker.Want("ok", "do huge")
	wantEarseExit(t, 1, "2147483647 bytes", args)
	worker.Want("ok", "do hang 600000")
	wantEarseExit(t, 7, "timed out", append(args, "--timeout", "300ms"))
	worker.Kill()
	wantEarseExit(t, 10, "not running", args)
	worker = earseCppWorker(t)
	worker.Want("ok", "do die")
	wantEarseExit(t, 8, "has died", args)
}

func wantEarseExit(t *testing.T, code int, text string, args []string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program(t, "samepage"), args...)
	cmd.Stderr = &stderr
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(stderr.String(), text) {
		t.Errorf("the command ends with %d and %s, want %d and %q", got, stderr.String(), code, text)
	}
}

// A C++ requester asks the command, in a process of its own.
func TestEarseImageCppAsksCommand(t *testing.T) {
	earseBegin(t)
	path := earsePicture(t, 40, 30)
	worker := ipctest.StartCmd(t, exec.Command(program(t, "samepage"), "legacy", "earseimage", "serve", "--region", "5,6,20x10"))
	requester := earseCppRequester(t)
	var l string
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if l = requester.Ask("job 1 %s", path); l != "ok no worker" {
			break
		} else if time.Since(begun) > ipctest.Patience {
			t.Fatal("the command serves nobody")
		}
	}
	if l != "ok answered" {
		t.Fatal(l)
	}
	requester.Want("ok", "save %s", path)
	w, h, at := earsePixels(t, path)
	for i := range 2 {
		wantPixels(t, fmt.Sprint(path, i+1), w, h, func(x, y int) [3]byte {
			if in := x >= 5 && x < 25 && y >= 6 && y < 16; in == (i == 1) {
				return at(x, y)
			}
			return [3]byte{255, 255, 255}
		})
	}
	if l := worker.Line(); !strings.Contains(l, "BMP of 40 x 30 pixels") {
		t.Errorf("the command says %s", l)
	}
	// A baseline TIFF is answered with two of them: not compressed, and three samples.
	sourceTIFF := makeTIFF(40, 30)
	tiff := strings.TrimSuffix(path, ".bmp") + ".tif"
	if err := os.WriteFile(tiff, sourceTIFF, 0o600); err != nil {
		t.Fatal(err)
	}
	requester.Want("ok answered", "job 6 %s", tiff)
	worker.Line()
	requester.Want("ok", "save %s", tiff)
	for i := range 2 {
		b, err := os.ReadFile(fmt.Sprint(tiff, i+1))
		if err != nil {
			t.Fatal(err)
		}
		dir := int(binary.LittleEndian.Uint32(b[4:]))
		for e := b[dir+2:]; len(e) >= 12 && binary.LittleEndian.Uint16(e) != 0; e = e[12:] {
			switch tag, v := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[8:]); {
			case tag == 259 && v != 1:
				t.Errorf("result %d has compression %d", i+1, v)
			case tag == 277 && v != 3:
				t.Errorf("result %d has %d samples", i+1, v)
			}
		}
		if len(b) < 8+3*40*30 {
			t.Fatalf("result %d has %d bytes", i+1, len(b))
		}
		for y := range 30 {
			for x := range 40 {
				at := 8 + 3*(40*y+x)
				want := []byte{255, 255, 255}
				if in := x >= 5 && x < 25 && y >= 6 && y < 16; in == (i == 1) {
					want = sourceTIFF[at:][:3]
				}
				if got := b[at:][:3]; !bytes.Equal(got, want) {
					t.Fatalf("result %d has %v at %d,%d, want %v", i+1, got, x, y, want)
				}
			}
		}
	}
	requester.Want("ok failed", "job 6 %s", path+".missing")
	requester.Want("ok failed", "job 3 %s", path)
	for _, text := range []string{"missing", "not JPEG"} {
		if l := worker.Line(); !strings.Contains(l, text) {
			t.Errorf("the command says %s", l)
		}
	}
	worker.Kill()
	requester.Want("ok no worker", "job 1 %s", path)
}
