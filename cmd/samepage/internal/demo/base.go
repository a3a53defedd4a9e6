package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/pubsub"
	"samepage/rpc"
)

// maxWorkers is how many workers may die while they work on one picture.
const maxWorkers = 4

// base publishes pictures and checks the worker's results.
type base struct {
	o       Options
	tell    func(message)
	src     source
	frames  *frame.Publisher
	service *rpc.Client
	room    room // of the topic and the service
	job     uint64
	total   tally
}

// tally counts the work. Another goroutine prints the line of each second.
type tally struct {
	mu       sync.Mutex
	start    time.Time // when the first picture began
	sum      Summary
	all, now latencies // of the whole run; of this second
	since    time.Time // when this second began
	pictures int       // done in this second
	bytes    int64     // crossed in this second
}

// runBase does all pictures, or those that it can do until ctx ends.
func runBase(ctx context.Context, name string, o Options, tell func(message)) (err error) {
	b := &base{o: o, tell: tell}
	if o.Images == "" {
		b.src = newScene()
	} else {
		f, err := scanFolder(ctx, &o)
		if f != nil {
			b.leaveOut(f.left)
		}
		if err != nil {
			return unlessEnded(ctx, err)
		}
		b.src = f
	}
	if o.Out != "" {
		if err := os.MkdirAll(o.Out, 0o777); err != nil {
			return err
		}
	}
	if err := b.openLargest(ctx, name); err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() { err = errors.Join(err, b.service.Close(), b.frames.Close()) }()
	size, err := b.room.size()
	if err != nil {
		return err
	}
	tell(message{Ready: &Ready{PID: os.Getpid(), Topic: framesName(name), Service: workerName(name), Size: size}})
	if err := b.service.AwaitWorker(ctx); err != nil {
		return unlessEnded(ctx, err)
	}

	stop := b.tellEachSecond()
	err = b.run(ctx)
	stop()
	if err != nil {
		return err
	}
	s := b.total.summary()
	s.Interrupted = ctx.Err() != nil
	if s.Pictures == 0 && len(s.Failed) == 0 && !s.Interrupted {
		return fmt.Errorf("none of the pictures in %s can be read", o.Images)
	}
	tell(message{Summary: &s})
	return nil
}

// openLargest creates the topic and the service, with room for the largest picture for which there
// is space. A picture for which there is no space is reported when its turn comes.
func (b *base) openLargest(ctx context.Context, name string) error {
	for {
		need, err := b.src.room(ctx)
		if err != nil {
			return err
		}
		err = b.open(name, need)
		if err == nil {
			b.room = need
			return nil
		}
		if !errors.Is(err, samepage.ErrNoSpace) && !errors.Is(err, samepage.ErrTooLarge) {
			return err
		}
		size, serr := need.size()
		if serr != nil {
			return serr
		}
		err = fmt.Errorf("pictures of its size need %d MiB of shared memory, and there is no space for that; %s: %w", (size+1<<20-1)>>20, remedy(), err)
		if !b.src.drop(need, err) {
			return err
		}
	}
}

// remedy says what to do if there is no space.
func remedy() string {
	more := "use a larger /dev/shm (docker run --shm-size), or set SAMEPAGE_DIR to a folder of another file system"
	if runtime.GOOS == "windows" {
		more = "use more memory, or a larger paging file"
	}
	return more + ", or a smaller " + picture.LimitOption + ", which leaves large pictures out"
}

// open creates the topic and the service with room for pictures that need this much.
func (b *base) open(name string, need room) (err error) {
	if b.frames, err = frame.CreatePublisher(framesName(name), pictureSpec(image.Pt(1, 1)), need.framesOptions()); err != nil {
		return err
	}
	if err = reserve(name); err == nil {
		b.service, err = rpc.CreateClient(workerName(name), need.workerOptions())
	}
	if err != nil {
		return errors.Join(err, b.frames.Close())
	}
	return nil
}

// reserve reserves the space that the worker and the viewer will need, so that the base gets the
// error if there is none. It stays reserved.
func reserve(name string) (err error) {
	for range looks {
		s, serr := frame.OpenSubscriber(framesName(name), &pubsub.SubscriberOptions{BestEffort: true})
		if serr != nil {
			return errors.Join(err, serr)
		}
		defer func() { err = errors.Join(err, s.Close()) }()
	}
	return nil
}

// nrgba returns the picture of a frame whose format is known to be RGBA.
func nrgba(f *frame.Frame) *image.NRGBA { return f.Image().(*image.NRGBA) }

func (b *base) run(ctx context.Context) error {
	b.total.begin()
	for b.o.Once || b.o.Count == 0 || b.total.tried() < b.o.Count {
		if ctx.Err() != nil {
			return nil
		}
		p, err := b.src.next()
		var bad *Bad
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			b.skip(bad)
			continue
		case err != nil:
			return err
		}
		if err := b.do(ctx, p); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return nil
}

// do has the worker do one picture. The error is about the demo, and not about the picture.
func (b *base) do(ctx context.Context, p *drawable) error {
	b.job++
	spec := pictureSpec(p.bounds.Size())
	spec.Seq = b.job
	if !b.room.holds(roomFor(p.bounds.Size(), p.region)) {
		b.skip(&Bad{p.name, fmt.Sprintf("%d x %d pixels do not fit into the shared memory: it is only as large as the largest picture at the start of the demo needs", spec.Width, spec.Height)})
		return nil
	}
	l, err := b.frames.Loan(spec)
	if err != nil {
		return err
	}
	p.draw(l.Frame)
	src := *nrgba(l.Frame) // it stays unchanged while it is the history of the topic
	began := time.Now()
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	c, err := b.call(ctx, p.region)
	took := time.Since(began)
	if bad, ok := errors.AsType[*rpc.Error](err); ok {
		b.fail(&Bad{p.name, bad.Text})
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Release()
	a, err := readAnswer(c.Response())
	if err == nil {
		err = check(&src, a, p.region)
	}
	if err != nil {
		b.fail(&Bad{p.name, err.Error()})
		return nil
	}
	if b.o.Out != "" {
		erased, cut := results(&src, a)
		for _, r := range []struct {
			suffix string
			m      image.Image
		}{{"-erased.png", erased}, {"-region.png", cut}} {
			if err := savePNG(filepath.Join(b.o.Out, p.out+r.suffix), r.m); err != nil {
				return err
			}
			b.total.saved()
		}
	}
	b.total.done(took, int64(len(src.Pix)+len(a.erased.Pix)+len(a.cut.Pix)))
	return nil
}

// call calls the service for the frame that was published last. If the worker dies, it calls the
// next one. The caller releases the call. A *rpc.Error says why there are no results.
func (b *base) call(ctx context.Context, region image.Rectangle) (*rpc.Call, error) {
	for died := 0; ; {
		if err := b.service.AwaitWorker(ctx); err != nil {
			return nil, err
		}
		c, err := b.service.Begin(ctx)
		if err != nil {
			return nil, err
		}
		putRequest(c.Request(), b.job, region)
		if err = c.Do(ctx, requestSize); err == nil {
			return &c, nil
		}
		c.Release()
		switch {
		case errors.Is(err, samepage.ErrPeerNotStarted):
			continue // the worker died before it took the call
		case !errors.Is(err, samepage.ErrPeerDied):
			return nil, err
		}
		if died++; died == maxWorkers {
			return nil, &rpc.Error{Text: fmt.Sprintf("%d workers died while they worked on it", died)}
		}
		b.total.redone()
	}
}

// leaveOut reports what is in the folder and is not used.
func (b *base) leaveOut(left []Bad) {
	b.total.mu.Lock()
	b.total.sum.LeftOut = append(b.total.sum.LeftOut, left...)
	b.total.mu.Unlock()
	for i := range left {
		b.tell(message{LeftOut: &left[i]})
	}
}

func (b *base) skip(bad *Bad) {
	b.total.mu.Lock()
	b.total.sum.Skipped = append(b.total.sum.Skipped, *bad)
	b.total.mu.Unlock()
	b.tell(message{Skipped: bad})
}

func (b *base) fail(bad *Bad) {
	b.total.mu.Lock()
	b.total.sum.Failed = append(b.total.sum.Failed, *bad)
	b.total.mu.Unlock()
	b.tell(message{Failed: bad})
}

// savePNG writes the file in one call, so that a death rarely leaves a part of it.
func savePNG(path string, m image.Image) error {
	var buf bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := e.Encode(&buf, m); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return os.WriteFile(path, buf.Bytes(), 0o666)
}

// tellEachSecond reports the progress each second until the returned function is called.
func (b *base) tellEachSecond() (stop func()) {
	tick := time.NewTicker(time.Second)
	quit, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-tick.C:
				p := b.total.second()
				b.tell(message{Progress: &p})
			case <-quit:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(quit)
		<-over
	}
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start = time.Now()
	t.since = t.start
}

func (t *tally) done(took time.Duration, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Pictures++
	t.sum.Bytes += bytes
	t.all.add(took)
	t.pictures++
	t.bytes += bytes
	t.now.add(took)
}

// tried is how many pictures the worker has been given.
func (t *tally) tried() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum.Pictures + len(t.sum.Failed)
}

func (t *tally) saved() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Saved++
}

func (t *tally) redone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Redone++
}

// second ends a second and reports it.
func (t *tally) second() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	s := now.Sub(t.since).Seconds()
	p := Progress{
		Pictures:          t.sum.Pictures,
		PicturesPerSecond: round(float64(t.pictures) / s),
		MBPerSecond:       round(float64(t.bytes) / 1e6 / s),
		LatencyP50:        milliseconds(t.now.quantile(.5)),
		LatencyP99:        milliseconds(t.now.quantile(.99)),
	}
	t.since, t.pictures, t.bytes, t.now = now, 0, 0, latencies{}
	return p
}

func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sum
	s.Skipped = append([]Bad{}, s.Skipped...)
	s.Failed = append([]Bad{}, s.Failed...)
	s.LeftOut = append([]Bad{}, s.LeftOut...)
	seconds := time.Since(t.start).Seconds()
	s.Seconds = round(seconds)
	s.PicturesPerSecond = round(float64(s.Pictures) / seconds)
	s.MBPerSecond = round(float64(s.Bytes) / 1e6 / seconds)
	s.LatencyP50 = milliseconds(t.all.quantile(.5))
	s.LatencyP99 = milliseconds(t.all.quantile(.99))
	s.LatencyMax = milliseconds(t.all.max)
	return s
}

// round rounds to three decimals, since a measurement is not more precise.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }
