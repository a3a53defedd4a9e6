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

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// stage has both ends of both topics, for pictures of 50 x 40 pixels.
type stage struct {
	t       testing.TB
	base    *frame.Publisher
	frames  *frame.Subscriber // the worker's
	worker  *pubsub.Publisher
	results *pubsub.Subscriber // the base's
	job     uint64
}

func newStage(t testing.TB, results func(*pubsub.Options)) *stage {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := &stage{t: t}
	var err error
	need := roomFor(image.Pt(50, 40), image.Rect(0, 0, 50, 40))
	fo := need.framesOptions()
	fo.MaxSize += 4000 // for other formats
	s.base, _, err = frame.OpenOrCreatePublisher(framesName("job"), pictureSpec(image.Pt(50, 40)), fo)
	ipctest.NoErr(t, err)
	s.frames, err = frame.OpenSubscriber(framesName("job"), nil)
	ipctest.NoErr(t, err)
	ro := need.resultsOptions()
	if results != nil {
		results(ro)
	}
	s.worker, _, err = pubsub.OpenOrCreatePublisher(resultsName("job"), ro)
	ipctest.NoErr(t, err)
	s.results, err = pubsub.OpenSubscriber(resultsName("job"), nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = errors.Join(s.base.Close(), s.frames.Close(), s.worker.Close(), s.results.Close()) })
	return s
}

// do makes the worker do a picture of noise, and returns the picture and the answer. spoil may
// change the request.
func (s *stage) do(w, h int, region image.Rectangle, spoil func(l *frame.Loan)) (*image.NRGBA, []byte) {
	s.t.Helper()
	spec := pictureSpec(image.Pt(w, h))
	s.job++
	spec.Seq = s.job
	l, err := s.base.LoanExtra(spec, requestSize)
	ipctest.NoErr(s.t, err)
	src := noise(image.Rect(0, 0, w, h))
	frame.Draw(l.Frame, src)
	putRequest(l.Extra(), region)
	if spoil != nil {
		spoil(l)
	}
	ipctest.NoErr(s.t, l.Publish(s.t.Context()))
	return src, s.work()
}

// work makes the worker do what is published, and returns the answer.
func (s *stage) work() []byte {
	s.t.Helper()
	m, err := s.frames.Take(s.t.Context())
	ipctest.NoErr(s.t, err)
	ipctest.NoErr(s.t, work(s.t.Context(), s.worker, m))
	r, err := s.results.Take(s.t.Context())
	ipctest.NoErr(s.t, err)
	return r.Bytes()
}

// 000-24: one request has two results, with offsets and sizes, as expected.
func TestWork(t *testing.T) {
	s := newStage(t, nil)
	for _, size := range []image.Point{{50, 40}, {1, 1}, {50, 40}, {7, 31}} {
		region := middle(image.Rectangle{Max: size})
		src, b := s.do(size.X, size.Y, region, nil)
		a, err := readAnswer(b)
		if err != nil || a.what != done || a.job != s.job {
			t.Fatalf("answer %+v, %v", a, err)
		}
		if err := check(src, a, region); err != nil {
			t.Errorf("%v: %v", size, err)
		}
		if err := check(noise(image.Rect(0, 0, 9, 9)), a, image.Rect(1, 1, 2, 2)); err == nil {
			t.Error("results of another size are as expected")
		}
	}
}

// 000-25: results that do not fit are refused, and nothing is written past the end.
func TestResultsTooLarge(t *testing.T) {
	s := newStage(t, func(o *pubsub.Options) {
		o.MaxSize = answerHead + 2*alignUp(int(regionSpec(image.Rect(0, 0, 40, 30)).Size())) - 1
	})
	_, b := s.do(50, 40, image.Rect(1, 1, 41, 31), nil)
	a, err := readAnswer(b)
	if err != nil || a.what != refused || a.job != s.job || !strings.Contains(a.text, "want 0 to ") {
		t.Errorf("answer %+v, %v", a, err)
	}
	_, b = s.do(49, 40, image.Rect(1, 1, 40, 31), nil)
	if a, err := readAnswer(b); err != nil || a.what != done {
		t.Errorf("the next one: %+v, %v", a, err)
	}
}

// 000-26: a request that makes no sense gets an answer with an error text.
func TestWorkRefuses(t *testing.T) {
	s := newStage(t, nil)
	put := func(i int, v uint32) func(*frame.Loan) {
		return func(l *frame.Loan) { binary.LittleEndian.PutUint32(l.Extra()[4*i:], v) }
	}
	for what, spoil := range map[string]func(*frame.Loan){
		"region empty":   put(2, 0),
		"region outside": put(0, 45),
		"region far":     put(1, 1<<32-1),
		"region huge":    put(3, 1<<32-1),
		"region wraps":   func(l *frame.Loan) { put(0, 1<<31)(l); put(2, 1<<31)(l) },
	} {
		_, b := s.do(50, 40, image.Rect(10, 10, 20, 30), spoil)
		if a, err := readAnswer(b); err != nil || a.what != refused || a.job != s.job || !strings.Contains(a.text, "region") {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	for what, spec := range map[string]frame.Spec{
		"format": {Format: frame.BGR, Width: 50, Height: 40}, "request of": pictureSpec(image.Pt(50, 40)),
	} {
		l, err := s.base.LoanExtra(spec, requestSize-1)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Publish(t.Context()))
		if a, err := readAnswer(s.work()); err != nil || a.what != refused || !strings.Contains(a.text, what) {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
}

// An answer is refused if its results cannot be where it says.
func TestAnswerRefused(t *testing.T) {
	s := newStage(t, nil)
	_, good := s.do(50, 40, image.Rect(10, 10, 20, 30), nil)
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
		"unknown": func(b []byte) { le.PutUint32(b[offWhat:], 4) },
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
	s := newStage(f, nil)
	src, good := s.do(5, 4, image.Rect(1, 1, 3, 3), nil)
	f.Add(bytes.Clone(good))
	_, bad := s.do(5, 4, image.Rectangle{}, nil)
	f.Add(bytes.Clone(bad))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readAnswer(b); err == nil && a.what == done {
			_ = check(src, a, image.Rect(1, 1, 3, 3))
		}
	})
}

// Whatever a base requests, the worker does not crash.
func FuzzRequest(f *testing.F) {
	b := make([]byte, requestSize)
	putRequest(b, image.Rect(1, 1, 3, 3))
	f.Add(b, 5, 4)
	s := newStage(f, nil)
	f.Fuzz(func(t *testing.T, request []byte, w, h int) {
		spec := frame.Spec{Format: frame.RGBA, Width: w, Height: h}
		l, err := s.base.LoanExtra(spec, len(request))
		if err != nil {
			return
		}
		copy(l.Extra(), request)
		ipctest.NoErr(t, l.Publish(t.Context()))
		now := *s
		now.t = t
		if _, err := readAnswer(now.work()); err != nil {
			t.Errorf("an answer that does not read: %v", err)
		}
	})
}

// The messages are as the comment in topics.go says.
func TestLayout(t *testing.T) {
	s := newStage(t, nil)
	var request []byte
	_, b := s.do(50, 40, image.Rect(10, 11, 20, 30), func(l *frame.Loan) { request = bytes.Clone(l.Extra()) })
	le := binary.LittleEndian
	for i, want := range []uint32{10, 11, 10, 19} {
		if got := le.Uint32(request[4*i:]); got != want {
			t.Errorf("word %d of the request is %d, want %d", i, got, want)
		}
	}
	// A region of 10 x 19 pixels has a frame of 128 + 760 bytes.
	for off, want := range map[int]uint32{0: 2, 4: 0, 8: 1, 16: 1024, 24: 888, 32: 1920, 40: 888} {
		if got := le.Uint32(b[off:]); got != want {
			t.Errorf("word at %d is %d, want %d", off, got, want)
		}
	}
	if f, err := frame.Open(b[1920:]); err != nil || f.Region() != image.Rect(10, 11, 20, 30) {
		t.Error(f.Region(), err)
	}
	_, b = s.do(50, 40, image.Rectangle{}, nil)
	if n := le.Uint32(b[4:]); le.Uint32(b) != 3 || n < 20 || !strings.Contains(string(b[64:64+n]), errMessage.Error()) {
		t.Errorf("refused with %q", b[64:64+n])
	}
}

// startWorker runs a worker in this process until the test ends. The worker calls up when it is
// subscribed to all requests, and does none before up returns.
func startWorker(t *testing.T, name string, up func()) {
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
			select {}
		}
	}
	die := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	frames, err := frame.OpenSubscriber(framesName(args[0]), &pubsub.SubscriberOptions{From: pubsub.FromNow})
	die(err)
	results, err := openResults(ctx, args[0])
	die(err)
	stop("before it was ready")
	die(publishReady(ctx, results))
	stop("before it began")
	m, err := frames.Take(ctx)
	die(err)
	stop("when it had begun")
	l, err := bothResults(results, m)
	die(err)
	stop("before it answered")
	die(l.Publish(ctx))
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
	for at, redone := range map[string][2]int{
		"before it was ready":  {0, 0},
		"before it began":      {0, 1}, // by whether the base had requested
		"when it had begun":    {1, 1},
		"before it answered":   {1, 1},
		"when it had answered": {0, 1}, // the next picture, by the same
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
			if s.Pictures != 2 || len(s.Failed) > 0 || s.Redone < redone[0] || s.Redone > redone[1] {
				t.Errorf("%+v", s)
			}
		})
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
