package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// stage has a base, for pictures of 50 x 40 pixels, and a worker, both in this process.
type stage struct {
	t      testing.TB
	frames *frame.Publisher
	client *rpc.Client
	seq    uint64
}

// newStage starts the worker. largest is the largest region.
func newStage(t testing.TB, largest image.Rectangle) *stage {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := &stage{t: t}
	var err error
	need := roomFor(image.Pt(50, 40), largest)
	s.frames, err = frame.CreatePublisher(framesName("job"), pictureSpec(image.Pt(50, 40)), need.framesOptions())
	ipctest.NoErr(t, err)
	s.client, err = rpc.CreateClient(workerName("job"), need.workerOptions())
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, errors.Join(s.client.Close(), s.frames.Close())) })
	startWorker(t, "job", func() {})
	ipctest.NoErr(t, s.client.AwaitWorker(t.Context()))
	return s
}

// publish publishes a picture of noise.
func (s *stage) publish(spec frame.Spec) *image.NRGBA {
	s.t.Helper()
	s.seq++
	spec.Seq = s.seq
	l, err := s.frames.Loan(spec)
	ipctest.NoErr(s.t, err)
	src := noise(image.Rect(0, 0, spec.Width, spec.Height))
	frame.Draw(l.Frame, src)
	ipctest.NoErr(s.t, l.Publish(s.t.Context()))
	return src
}

// do has the worker do a picture of noise, and returns the picture and a copy of the response.
// spoil may change the request.
func (s *stage) do(w, h int, region image.Rectangle, spoil func(request []byte)) (*image.NRGBA, []byte, error) {
	s.t.Helper()
	src := s.publish(pictureSpec(image.Pt(w, h)))
	request := make([]byte, requestSize)
	putRequest(request, s.seq, region)
	if spoil != nil {
		spoil(request)
	}
	b, err := s.client.Call(s.t.Context(), request)
	return src, b, err
}

// wantRefused checks that the worker has refused a call with a text.
func (s *stage) wantRefused(what string, err error, text string) {
	s.t.Helper()
	if e, ok := errors.AsType[*rpc.Error](err); !ok || !strings.Contains(e.Text, text) {
		s.t.Errorf("%s: %v, want a refusal with %q", what, err, text)
	}
}

// 000-24: one request has two results, with offsets and sizes, as expected.
func TestWork(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 50, 40))
	for _, size := range []image.Point{{50, 40}, {1, 1}, {50, 40}, {7, 31}} {
		region := middle(image.Rectangle{Max: size})
		src, b, err := s.do(size.X, size.Y, region, nil)
		ipctest.NoErr(t, err)
		a, err := readAnswer(b)
		ipctest.NoErr(t, err)
		if err := check(src, a, region); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		if err := check(noise(image.Rect(0, 0, 9, 9)), a, image.Rect(1, 1, 2, 2)); err == nil {
			t.Error("results of another size are as expected")
		}
	}
}

// A worker that was not called for some frames finds the frame of its call.
func TestWorkSkipsFrames(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 50, 40))
	for skipped := range 5 {
		for range skipped {
			s.publish(pictureSpec(image.Pt(50, 40)))
		}
		region := image.Rect(10, 10, 20, 30)
		src, b, err := s.do(50, 40, region, nil)
		ipctest.NoErr(t, err)
		a, err := readAnswer(b)
		ipctest.NoErr(t, err)
		if err := check(src, a, region); err != nil {
			t.Errorf("%d frames skipped: %v", skipped, err)
		}
	}
}

// 000-25: results that do not fit are refused, and nothing is written past the end.
func TestResultsTooLarge(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 39, 30))
	_, _, err := s.do(50, 40, image.Rect(1, 1, 41, 31), nil)
	s.wantRefused("a large region", err, "want 0 to ")
	_, b, err := s.do(49, 40, image.Rect(1, 1, 40, 31), nil)
	ipctest.NoErr(t, err)
	if _, err := readAnswer(b); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// 000-26: a request that makes no sense gets an answer with an error text.
func TestWorkRefuses(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 50, 40))
	region := image.Rect(10, 10, 20, 30)
	put := func(i int, v uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[8+4*i:], v) }
	}
	for what, spoil := range map[string]func([]byte){
		"empty":   put(2, 0),
		"outside": put(0, 45),
		"far":     put(1, 1<<32-1),
		"huge":    put(3, 1<<32-1),
		"wraps":   func(b []byte) { put(0, 1<<31)(b); put(2, 1<<31)(b) },
	} {
		_, _, err := s.do(50, 40, region, spoil)
		s.wantRefused(what, err, "region")
	}
	for _, seq := range []uint64{0, s.seq, s.seq + 2, 1<<64 - 1} {
		_, _, err := s.do(50, 40, region, func(b []byte) { binary.LittleEndian.PutUint64(b, seq) })
		s.wantRefused("another frame", err, "not in the topic")
	}
	_, err := s.client.Call(t.Context(), make([]byte, requestSize-1))
	s.wantRefused("a short request", err, "request of 23 bytes")
	s.publish(frame.Spec{Format: frame.BGR, Width: 50, Height: 40})
	request := make([]byte, requestSize)
	putRequest(request, s.seq, region)
	_, err = s.client.Call(t.Context(), request)
	s.wantRefused("another format", err, "format")
	_, _, err = s.do(50, 40, region, nil)
	ipctest.NoErr(t, err)
}

// An answer is refused if its results cannot be where it says.
func TestAnswerRefused(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 50, 40))
	_, good, err := s.do(50, 40, image.Rect(10, 10, 20, 30), nil)
	ipctest.NoErr(t, err)
	le := binary.LittleEndian
	for what, spoil := range map[string]func(b []byte){
		"in the header":   func(b []byte) { le.PutUint64(b[offErased:], 0) },
		"negative":        func(b []byte) { le.PutUint64(b[offErased:], 1<<63) },
		"past the end":    func(b []byte) { le.PutUint64(b[offCut:], uint64(len(b)-4)) },
		"over each other": func(b []byte) { le.PutUint64(b[offCut:], le.Uint64(b[offErased:])) },
		"too small":       func(b []byte) { le.PutUint64(b[offCut+8:], 4) },
		"negative size":   func(b []byte) { le.PutUint64(b[offErased+8:], 1<<63) },
		"no frame":        func(b []byte) { b[answerHead] ^= 1 },
		"another picture": func(b []byte) { b[answerHead+20] ^= 1 },
		"another format": func(b []byte) {
			_, err := frame.New(b[answerHead:], frame.Spec{Format: frame.RGB, Width: 5, Height: 4})
			ipctest.NoErr(t, err)
		},
	} {
		b := bytes.Clone(good)
		spoil(b)
		if a, err := readAnswer(b); !errors.Is(err, errMessage) {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	if _, err := readAnswer(good[:answerHead-1]); !errors.Is(err, errMessage) {
		t.Errorf("a short answer: %v", err)
	}
}

// Whatever a worker writes, the base does not crash.
func FuzzAnswer(f *testing.F) {
	s := newStage(f, image.Rect(0, 0, 2, 2))
	src, good, err := s.do(5, 4, image.Rect(1, 1, 3, 3), nil)
	ipctest.NoErr(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readAnswer(b); err == nil {
			_ = check(src, a, image.Rect(1, 1, 3, 3))
		}
	})
}

// Whatever a base requests, the worker does not crash.
func FuzzRequest(f *testing.F) {
	b := make([]byte, requestSize)
	putRequest(b, 1, image.Rect(1, 1, 3, 3))
	f.Add(b, 5, 4)
	s := newStage(f, image.Rect(0, 0, 50, 40))
	f.Fuzz(func(t *testing.T, request []byte, w, h int) {
		if len(request) > requestSize {
			return
		}
		l, err := s.frames.Loan(frame.Spec{Format: frame.RGBA, Width: w, Height: h, Seq: 1})
		if err != nil {
			return
		}
		ipctest.NoErr(t, l.Publish(t.Context()))
		b, err := s.client.Call(t.Context(), request)
		if _, refused := errors.AsType[*rpc.Error](err); refused {
			return
		}
		ipctest.NoErr(t, err)
		if _, err := readAnswer(b); err != nil {
			t.Errorf("an answer that does not read: %v", err)
		}
	})
}

// The messages are as the comment in messages.go says.
func TestLayout(t *testing.T) {
	s := newStage(t, image.Rect(0, 0, 50, 40))
	var request []byte
	_, b, err := s.do(50, 40, image.Rect(10, 11, 20, 30), func(b []byte) { request = bytes.Clone(b) })
	ipctest.NoErr(t, err)
	le := binary.LittleEndian
	for i, want := range []uint32{1, 0, 10, 11, 10, 19} {
		if got := le.Uint32(request[4*i:]); got != want {
			t.Errorf("word %d of the request is %d, want %d", i, got, want)
		}
	}
	// A region of 10 x 19 pixels has a frame of 256 + 760 bytes.
	for off, want := range map[int]uint64{0: 64, 8: 1016, 16: 1088, 24: 1016} {
		if got := le.Uint64(b[off:]); got != want {
			t.Errorf("word at %d is %d, want %d", off, got, want)
		}
	}
	if f, err := frame.Open(b[1088:]); err != nil || f.Region() != image.Rect(10, 11, 20, 30) {
		t.Error(f.Region(), err)
	}
}

// startWorker runs a worker in this process until the test ends. The worker answers no call before
// up returns.
func startWorker(t testing.TB, name string, up func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runWorker(ctx, name, up) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// halfWorker is a worker that stops at a given point, and waits to be killed.
func halfWorker(args []string) {
	stop := func(at string) {
		if args[1] == at {
			fmt.Println("stopped")
			time.Sleep(time.Hour) // not select: without another goroutine that would end the process
		}
	}
	die := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	frames, err := openFrames(args[0])
	die(err)
	stop("before it was ready")
	w, err := rpc.OpenWorker(workerName(args[0]), nil)
	die(err)
	stop("before it began")
	ctx, cancel := context.WithCancel(context.Background())
	_ = w.Serve(ctx, func(j *rpc.Job) error {
		stop("when it had begun")
		err := work(frames, j)
		stop("before it answered")
		cancel() // Serve returns after this answer
		return err
	})
	stop("when it had answered")
}

// startBase runs a base in this process; the channel gets its result.
func startBase(t *testing.T, o Options) (up, sum chan message, ended chan error) {
	up, sum, ended = make(chan message, 1), make(chan message, 1), make(chan error, 1)
	tell := func(m message) {
		switch {
		case m.Ready != nil:
			up <- m
		case m.Summary != nil:
			sum <- m
		}
	}
	go func() { ended <- runBase(t.Context(), "job", o, tell) }()
	return up, sum, ended
}

// 003-21: a worker finishes what its predecessor left, who was killed at any point. Nothing that
// was done is done twice.
func TestWorkerTakesOver(t *testing.T) {
	ipctest.NeedNames(t)
	for at, redone := range map[string]int{
		"before it was ready":  0,
		"before it began":      0,
		"when it had begun":    1,
		"before it answered":   1,
		"when it had answered": 0,
	} {
		t.Run(at, func(t *testing.T) {
			ipctest.Store(t)
			up, sum, ended := startBase(t, Options{Count: 2})
			<-up
			half := ipctest.Start(t, "half", "job", at)
			if l := half.Line(); l != "stopped" {
				t.Fatal(l)
			}
			half.Kill()
			startWorker(t, "job", func() {})
			ipctest.NoErr(t, <-ended)
			s := (<-sum).Summary
			if s.Pictures != 2 || len(s.Failed) > 0 || s.Redone != redone {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A call that nobody has taken is made again when there is a worker.
func TestWorkerDiesBeforeItBegins(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	up, sum, ended := startBase(t, Options{Count: 1})
	<-up
	half := ipctest.Start(t, "half", "job", "before it began")
	if l := half.Line(); l != "stopped" {
		t.Fatal(l)
	}
	waitCalls(t, 1)
	half.Kill()
	waitCalls(t, 0)
	startWorker(t, "job", func() {})
	ipctest.NoErr(t, <-ended)
	if s := (<-sum).Summary; s.Pictures != 1 || len(s.Failed) > 0 || s.Redone != 0 {
		t.Errorf("%+v", s)
	}
}

// waitCalls waits until the service has so many calls in flight.
func waitCalls(t *testing.T, n int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		st, err := rpc.Inspect(workerName("job"), nil)
		ipctest.NoErr(t, err)
		if st.InFlight == n {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("%d calls are in flight, want %d", st.InFlight, n)
		}
	}
}

// A picture over which one worker after another dies is given up, and the next ones are done.
func TestWorkersDieOverIt(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	up, sum, ended := startBase(t, Options{Count: 3})
	<-up
	for range maxWorkers {
		half := ipctest.Start(t, "half", "job", "when it had begun")
		if l := half.Line(); l != "stopped" {
			t.Fatal(l)
		}
		half.Kill()
	}
	startWorker(t, "job", func() {})
	ipctest.NoErr(t, <-ended)
	s := (<-sum).Summary
	if s.Pictures != 2 || len(s.Failed) != 1 || s.Failed[0].Reason != "4 workers died while they worked on it" {
		t.Errorf("%+v", s)
	}
}

// A viewer that looks at one frame for as long as all the others take makes nobody wait, and
// the frame does not change.
func TestSlowViewer(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const pictures = 30
	up, sum, ended := startBase(t, Options{Count: pictures})
	<-up
	ctx, cancel := context.WithCancel(t.Context())
	seen, looks, over := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	look := func(m *frame.Message) {
		once.Do(func() {
			before := bytes.Clone(m.Pix(0))
			close(looks)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if !bytes.Equal(m.Pix(0), before) {
				t.Errorf("frame %d has changed while it was looked at", m.Seq())
			}
			t.Logf("the viewer looked at frame %d", m.Seq()) // 1, if it was let run in time
			cancel()
		})
	}
	var v Viewed
	go func() {
		over <- runViewer(ctx, "job", look, func() { close(seen) }, func(now Viewed) { v = now })
	}()
	<-seen
	// The first frame is there, and no other one comes before the viewer looks at it.
	startWorker(t, "job", func() {
		select {
		case <-looks:
		case <-t.Context().Done():
		}
	})
	ipctest.NoErr(t, <-over)
	if s := (<-sum).Summary; s.Pictures != pictures || v.Frames+v.Missed != pictures || v.Missed < pictures/2 {
		t.Errorf("%d pictures, the viewer tells %+v", s.Pictures, v)
	}
}

// 003-17: a process that starts without a base reports that at once.
func TestWithoutBase(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	run := map[string]func() error{
		"worker": func() error { return runWorker(t.Context(), "job", nil) },
		"viewer": func() error { return runViewer(t.Context(), "job", nil, nil, nil) },
	}
	for role, run := range run {
		if err := run(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s without a base: %v", role, err)
		}
	}
	m, err := samepage.Create(framesName("job"), 8192, &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	defer m.Close()
	for role, run := range run {
		if err := run(); !errors.Is(err, samepage.ErrKindMismatch) && !errors.Is(err, samepage.ErrCorrupt) {
			t.Errorf("%s at something else: %v", role, err)
		}
	}
}
