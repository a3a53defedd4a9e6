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
	"sync"
	"time"

	"samepage/ipcsync"
)

// base passes pictures to the worker and checks what comes back.
type base struct {
	o     Options
	tell  func(message)
	src   source
	block *block
	bells *bells
	seq   uint64
	total tally
}

// tally counts what was done; the second's line is told from another goroutine.
type tally struct {
	mu       sync.Mutex
	start    time.Time // of the first picture
	sum      Summary
	all, now latencies // of the whole run, of this second
	since    time.Time // when this second began
	pictures int       // done in this second
	bytes    int64     // crossed in this second
}

// runBase does all pictures, or as many as are done when ctx ends.
func runBase(ctx context.Context, name string, o Options, tell func(message)) (err error) {
	b := &base{o: o, tell: tell}
	if o.Images == "" {
		b.src = newScene()
	} else if b.src, err = scanFolder(ctx, o.Images, o.Once); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if o.Out != "" {
		if err := os.MkdirAll(o.Out, 0o777); err != nil {
			return err
		}
	}
	if b.bells, err = openBells(name, ipcsync.CreateEvent); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.bells.close()) }()
	if b.block, err = createBlock(name, b.src.largest()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.block.close()) }()
	tell(message{Ready: &Ready{os.Getpid(), name, b.block.mem.Size()}})

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

// do has one picture done. Its error is of the demo and not of the picture.
func (b *base) do(ctx context.Context, p *picture) error {
	a, err := b.block.place(p.bounds)
	if err != nil {
		b.skip(&Bad{p.name, err.Error()})
		return nil
	}
	src := b.block.image(a, p.bounds)
	p.draw(src)
	b.seq++
	b.block.request(&job{
		sequence: b.seq, width: p.bounds.Dx(), height: p.bounds.Dy(),
		region: p.region, name: p.name, source: a,
	})
	began := time.Now()
	if err := b.bells.request.Set(); err != nil {
		return err
	}
	// A worker that dies meanwhile has a successor, see job.go.
	for b.block.status.Load() != done { // ACQUIRE: pairs with the RELEASE in answer
		if err := b.bells.done.Wait(ctx); err != nil {
			return err
		}
	}
	took := time.Since(began)

	j, err := b.block.readAnswer()
	b.total.redone(j.attempts)
	if err == nil && j.sequence != b.seq {
		err = fmt.Errorf("the answer is for job %d, not for %d", j.sequence, b.seq)
	}
	if err == nil && !j.success {
		err = errors.New(j.err)
	}
	if err != nil {
		b.fail(&Bad{p.name, err.Error()})
		return nil
	}
	erased, cut := b.block.image(j.erased, p.bounds), b.block.image(j.cut, p.bounds)
	if err := check(src, erased, cut, p.region); err != nil {
		b.fail(&Bad{p.name, err.Error()})
		return nil
	}
	if b.o.Out != "" {
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
	b.total.done(took, 3*j.bytes())
	return nil
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

// savePNG writes the file in one go, so that a death hardly leaves half of it.
func savePNG(path string, m image.Image) error {
	var buf bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := e.Encode(&buf, m); err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return os.WriteFile(path, buf.Bytes(), 0o666)
}

// tellEachSecond tells the progress until the returned function is called.
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

// tried is how many pictures the worker has had.
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

func (t *tally) redone(attempts uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Redone += max(0, int(attempts)-1)
}

// second ends a second and tells of it.
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
	seconds := time.Since(t.start).Seconds()
	s.Seconds = round(seconds)
	s.PicturesPerSecond = round(float64(s.Pictures) / seconds)
	s.MBPerSecond = round(float64(s.Bytes) / 1e6 / seconds)
	s.LatencyP50 = milliseconds(t.all.quantile(.5))
	s.LatencyP99 = milliseconds(t.all.quantile(.99))
	s.LatencyMax = milliseconds(t.all.max)
	return s
}

// round is to three decimals, which is what a measurement is worth.
func round(f float64) float64 { return math.Round(f*1000) / 1000 }
