package legacy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy"
)

func init() {
	helpers["earse worker"] = earseWorker
	helpers["earse requester"] = earseRequester
}

const earseSection = "EaresImageSharedMemory"

// earseMemory has the section, for tests that look at its bytes.
func earseMemory(t *testing.T) *samepage.Memory {
	t.Helper()
	m, err := samepage.Open(earseSection, &samepage.Options{Exact: runtime.GOOS == "windows"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func int32In(t *testing.T, m *samepage.Memory, at int64) int32 {
	t.Helper()
	var b [4]byte
	if _, err := m.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return int32(binary.LittleEndian.Uint32(b[:]))
}

// picture writes a PNG that no other number has.
func picture(t *testing.T, dir string, n int) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 5+n%7, 4+n%5))
	for i := range img.Pix {
		img.Pix[i] = byte(i*31 + n*17)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprint(n, ".png"))
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// negative and mirrored are the two results that the workers here make.
func negative(img image.Image) image.Image {
	return mapped(img, func(r, g, b uint8) color.NRGBA { return color.NRGBA{255 - r, 255 - g, 255 - b, 255} }, false)
}

func mirrored(img image.Image) image.Image {
	return mapped(img, func(r, g, b uint8) color.NRGBA { return color.NRGBA{r, g, b, 255} }, true)
}

func mapped(img image.Image, f func(r, g, b uint8) color.NRGBA, flip bool) image.Image {
	out := image.NewNRGBA(img.Bounds())
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			to := y
			if flip {
				to = img.Bounds().Dy() - 1 - y
			}
			out.SetNRGBA(x, to, f(uint8(r>>8), uint8(g>>8), uint8(b>>8)))
		}
	}
	return out
}

// makeTwo is what workers here do.
func makeTwo(path string) (first, second []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	var a, b bytes.Buffer
	err = errors.Join(png.Encode(&a, negative(img)), png.Encode(&b, mirrored(img)))
	return a.Bytes(), b.Bytes(), err
}

// wantResults decodes an answer and compares it with what the test makes itself.
func wantResults(t *testing.T, path string, a *legacy.EarseImageAnswer) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []image.Image{negative(img), mirrored(img)} {
		got, err := a.Decode(i)
		if err != nil {
			t.Errorf("result %d of %s: %v", i, path, err)
			continue
		}
		same := got.Bounds() == want.Bounds()
		for y := 0; same && y < want.Bounds().Dy(); y++ {
			for x := range want.Bounds().Dx() {
				if color.NRGBAModel.Convert(got.At(x, y)) != want.At(x, y) {
					same = false
				}
			}
		}
		if !same {
			t.Errorf("result %d of %s is another picture", i, path)
		}
	}
}

func pngJob(path string) legacy.EarseImageJob {
	return legacy.EarseImageJob{Source: path, Type: legacy.ImagePNG}
}

// earseWorker is a worker that obeys the extension of a job, and says when it is told
// of one: "hang" until a line comes or it is to end, "exit" within the job.
func earseWorker([]string) {
	ctx, cancel := context.WithCancel(context.Background())
	lines := make(chan string)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if in.Text() == "end" {
				cancel()
				continue
			}
			lines <- in.Text()
		}
		cancel()
	}()
	err := legacy.ServeEarseImage(ctx, &legacy.EarseImageOptions{
		Ready: func() { fmt.Println("ready") },
		Log:   func(err error) { fmt.Fprintln(os.Stderr, "worker's log:", err) },
	}, func(ctx context.Context, j legacy.EarseImageJob) ([]byte, []byte, error) {
		switch j.Extension {
		case "hang":
			fmt.Println("hangs", filepath.Base(j.Source))
			select {
			case <-lines:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		case "exit":
			os.Exit(7)
		}
		return makeTwo(j.Source)
	})
	fmt.Println("ended", errors.Is(err, context.Canceled), err)
}

func startEarseWorker(t *testing.T) *ipctest.Child {
	t.Helper()
	c := ipctest.Start(t, "earse worker")
	if l := c.Line(); l != "ready" {
		t.Fatalf("worker says %q", l)
	}
	return c
}

// earseRequester asks for a file that the worker is to hang at, until it is killed, or
// just waits.
func earseRequester(args []string) {
	r, err := legacy.NewEarseImageRequester(nil)
	if err != nil {
		fmt.Println("err", errors.Is(err, fs.ErrExist), err)
		return
	}
	defer r.Close()
	fmt.Println("ready")
	j := pngJob(args[0])
	j.Extension = "hang"
	wait := func(ctx context.Context) { _, err = r.Do(ctx, j) }
	if len(args) > 1 {
		fmt.Println("ok", ipctest.RestCost(wait))
		return
	}
	wait(context.Background())
	fmt.Println("done", err)
}

// serveHere is a worker in the test's own process, until the test's end.
func serveHere(t *testing.T, do func(context.Context, legacy.EarseImageJob) ([]byte, []byte, error)) (logged func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	var mu sync.Mutex
	var log strings.Builder
	go func() {
		ended <- legacy.ServeEarseImage(ctx, &legacy.EarseImageOptions{
			Ready: func() { close(ready) },
			Log: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(&log, errors.Is(err, samepage.ErrTooLarge), err)
			},
		}, do)
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the worker ends with %v", err)
		}
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return log.String()
	}
}

func newEarseRequester(t *testing.T) *legacy.EarseImageRequester {
	t.Helper()
	r, err := legacy.NewEarseImageRequester(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// earseStart is for all tests here: they share names, so none of them is parallel.
func earseStart(t *testing.T) (ctx context.Context, dir string) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*ipctest.Patience)
	t.Cleanup(cancel)
	return ctx, ipctest.Dir(t)
}

func wantIs(t *testing.T, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
		return
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not have %q", err, s)
		}
	}
}

// The answer wakes by a message or an event, status and success tell, and the data is
// there by then.
func TestMission000_22_EarseImageStatus(t *testing.T) {
	ctx, dir := earseStart(t)
	path := picture(t, dir, 1)
	r := newEarseRequester(t)
	m := earseMemory(t)
	seen := make(chan [2]int32, 1)
	serveHere(t, func(_ context.Context, j legacy.EarseImageJob) ([]byte, []byte, error) {
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

// Neither a worker without a job nor a requester that waits for its answer polls.
func TestMission000_22_EarseImageIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 22 s")
	}
	_, dir := earseStart(t)
	worker := startEarseWorker(t)
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
			_ = legacy.ServeEarseImage(ctx, nil, nil)
		}))
	}
}

// One request, two results from another process, where the layout says, decoded equal:
// a thousand times.
func TestMission000_24_Worker(t *testing.T) {
	_, dir := earseStart(t)
	startEarseWorker(t)
	r := newEarseRequester(t)
	m := earseMemory(t)
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
	if _, err := (&legacy.EarseImageAnswer{}).Decode(2); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("image 2: %v", err)
	}
	if _, err := (&legacy.EarseImageAnswer{}).Decode(0); !errors.Is(err, image.ErrFormat) {
		t.Errorf("no image: %v", err)
	}
}

// Many goroutines ask one requester: each gets its own.
func TestMission000_24_Goroutines(t *testing.T) {
	ctx, dir := earseStart(t)
	startEarseWorker(t)
	r := newEarseRequester(t)
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

// Results that fill the section to the last byte fit; one byte more does not.
func TestMission000_25_ResultsMustFit(t *testing.T) {
	ctx, _ := earseStart(t)
	results := make(chan [2][]byte, 1)
	logged := serveHere(t, func(context.Context, legacy.EarseImageJob) ([]byte, []byte, error) {
		r := <-results
		return r[0], r[1], nil
	})
	r := newEarseRequester(t)
	m := earseMemory(t)
	job := legacy.EarseImageJob{Source: "s", Type: legacy.ImageTIFF}
	if legacy.EarseImageRoom != 3135932 {
		t.Errorf("room for %d bytes", legacy.EarseImageRoom)
	}
	first, second := bytes.Repeat([]byte{1}, 3135932-1000), bytes.Repeat([]byte{2}, 1000)
	results <- [2][]byte{first, second}
	a, err := r.Do(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Images[0].Data, first) || !bytes.Equal(a.Images[1].Data, second) || a.Images[1].Type != legacy.ImageTIFF {
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
		wantIs(t, err, legacy.ErrJobFailed, fmt.Sprintf("results of %d and %d bytes", sizes[0], sizes[1]), "3135932 fit", "too large")
		if s := int32In(t, m, 1600); s != 0 {
			t.Errorf("success is %d", s)
		}
		after := make([]byte, len(fill))
		if _, err := m.ReadAt(after, 9796); err != nil || !bytes.Equal(after, fill) {
			t.Errorf("results that do not fit were written, %v", err)
		}
	}
	if n := strings.Count(logged(), "true legacy: EarseImage worker: job for s:"); n != 5 {
		t.Errorf("ErrTooLarge was logged %d times, want 5: %s", n, logged())
	}
	results <- [2][]byte{nil, []byte("x")}
	_, err = r.Do(ctx, job)
	wantIs(t, err, legacy.ErrJobFailed, "results of 0 and 1 bytes")
}

// A job that cannot be done has a typed error with the worker's text, and the next one
// goes well.
func TestMission000_26_Failures(t *testing.T) {
	ctx, dir := earseStart(t)
	startEarseWorker(t)
	r := newEarseRequester(t)
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
		wantIs(t, err, legacy.ErrJobFailed, text)
		a, err := r.Do(ctx, pngJob(good))
		if err != nil {
			t.Fatal(err)
		}
		wantResults(t, good, a)
	}
}

// The text is cut where the record ends.
func TestMission000_26_LongText(t *testing.T) {
	ctx, _ := earseStart(t)
	serveHere(t, func(context.Context, legacy.EarseImageJob) ([]byte, []byte, error) {
		return nil, nil, errors.New(strings.Repeat("why", 2000))
	})
	r := newEarseRequester(t)
	_, err := r.Do(ctx, pngJob("s"))
	wantIs(t, err, legacy.ErrJobFailed, strings.Repeat("why", 4095/3))
}

func TestMission000_27_NoWorker(t *testing.T) {
	ctx, dir := earseStart(t)
	r := newEarseRequester(t)
	path := picture(t, dir, 1)
	absent := func() {
		t.Helper()
		_, err := r.Do(ctx, pngJob(path))
		wantIs(t, err, samepage.ErrPeerNotStarted, path)
	}
	absent()
	worker := startEarseWorker(t)
	if _, err := r.Do(ctx, pngJob(path)); err != nil {
		t.Error(err)
	}
	worker.Kill()
	absent()
	worker = startEarseWorker(t)
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

// Who waits for a worker that dies is told so.
func TestMission000_27_WorkerDies(t *testing.T) {
	ctx, dir := earseStart(t)
	r := newEarseRequester(t)
	path := picture(t, dir, 1)
	for _, how := range []string{"hang", "exit"} {
		worker := startEarseWorker(t)
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
	startEarseWorker(t)
	a, err := r.Do(ctx, pngJob(path))
	if err != nil {
		t.Fatal(err)
	}
	wantResults(t, path, a)
}

// Do returns when its context ends, while the worker is still at the job. What that
// answers late is nobody's, and the next job waits for it, within its own context.
func TestMission000_28_Cancel(t *testing.T) {
	ctx, dir := earseStart(t)
	worker := startEarseWorker(t)
	r := newEarseRequester(t)
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
		answers := make(chan *legacy.EarseImageAnswer)
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

// Close ends who waits.
func TestMission000_28_Close(t *testing.T) {
	ctx, dir := earseStart(t)
	worker := startEarseWorker(t)
	r := newEarseRequester(t)
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
		again, err := legacy.NewEarseImageRequester(nil)
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

// A requester that is killed leaves the worker at its job; the next one gets its own
// answer nevertheless.
func TestEarseImageRequesterKilled(t *testing.T) {
	ctx, dir := earseStart(t)
	worker := startEarseWorker(t)
	old, next := picture(t, dir, 1), picture(t, dir, 2)
	for range 5 {
		c := ipctest.Start(t, "earse requester", old)
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		if l := worker.Line(); l != "hangs 1.png" {
			t.Fatal(l)
		}
		_, err := legacy.NewEarseImageRequester(nil)
		wantIs(t, err, fs.ErrExist, "UnionRectTest")
		c.Kill()
		r := newEarseRequester(t)
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

// One worker and one requester at a time.
func TestEarseImageOneEach(t *testing.T) {
	ctx, _ := earseStart(t)
	serveHere(t, nil)
	wantIs(t, legacy.ServeEarseImage(ctx, nil, nil), fs.ErrExist, "EarseImage")
	c := ipctest.Start(t, "earse worker")
	if l := c.Line(); !strings.Contains(l, "another EarseImage runs") {
		t.Errorf("a second worker says %q", l)
	}
	newEarseRequester(t)
	_, err := legacy.NewEarseImageRequester(nil)
	wantIs(t, err, fs.ErrExist, "UnionRectTest")
}

// A section of that name and another size is refused, by both.
func TestEarseImageWrongSize(t *testing.T) {
	ctx, _ := earseStart(t)
	for _, size := range []int64{4096, 3145728 + 65536} {
		m, err := samepage.Create(earseSection, size, &samepage.Options{Exact: runtime.GOOS == "windows"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = legacy.NewEarseImageRequester(nil)
		wantIs(t, err, samepage.ErrCorrupt, fmt.Sprint(size), "3145728")
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	err := legacy.ServeEarseImage(short, nil, nil)
	wantIs(t, err, os.ErrDeadlineExceeded)
	wantIs(t, err, context.DeadlineExceeded)
}

// A thousand requesters and workers leave nothing.
func TestEarseImageLeavesNothing(t *testing.T) {
	ctx, dir := earseStart(t)
	startEarseWorker(t)
	path := picture(t, dir, 1)
	round := func(ask bool) {
		r, err := legacy.NewEarseImageRequester(nil)
		// On Windows Close does not wait for ever for a worker that is not let run.
		for begun := time.Now(); errors.Is(err, fs.ErrExist) && time.Since(begun) < ipctest.Patience; time.Sleep(time.Millisecond) {
			r, err = legacy.NewEarseImageRequester(nil)
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
	for i := range 1000 {
		round(i%10 == 0)
	}
	flat := func(after [3]int) bool {
		return after[0] <= before[0]+16 && after[1] <= before[1]+4 && after[2] <= before[2]
	}
	after := count()
	for begun := time.Now(); !flat(after) && time.Since(begun) < ipctest.Patience; after = count() {
		time.Sleep(10 * time.Millisecond) // what is on its way out
	}
	t.Logf("handles, mappings, goroutines: %v before, %v after a thousand requesters", before, after)
	if !flat(after) {
		t.Errorf("handles, mappings, goroutines were %v, and are %v after a thousand requesters", before, after)
	}
	// Nor the section, which the worker has open only while it is at a job.
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		m, err := samepage.Open(earseSection, &samepage.Options{Exact: runtime.GOOS == "windows"})
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
