package demo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"strings"

	"samepage/frame"
	"samepage/pubsub"
)

// The two topics, and what is in their messages. All words are little-endian.
//
// The base publishes frames: RGBA, as image.NRGBA has it. Behind the pixels stands what the
// worker does with them.
//
//	offset  bytes  field
//	     0     16  region to be erased: x, y, width, height, in pixels
//
// A frame's Seq is the number of the job, and its Time the time of publication. A job may be
// published more than once, see below.
//
// The worker publishes results:
//
//	offset  bytes  field
//	     0      4  what it is: ready, done or refused
//	     4      4  bytes of the text
//	     8      8  number of the job; 0 if ready
//	    16     16  offset and size of what fills the region
//	    32     16  offset and size of what was there
//	    64    960  why it is refused, UTF-8
//	  1024         both, each a frame of the region, which says where it belongs
//
// The base knows the rest of both results: around the region one has the pixels of the
// source, and the other is transparent. So the results need the memory of two regions, and
// not of two pictures.
//
// A worker publishes "ready" when it sees all frames that are published from then on. The
// base then publishes again the job that it waits for, if any. So if a worker dies, the next
// one does its job. A job may be answered twice that way; the base looks at the number.
const (
	requestSize = 16

	offWhat    = 0
	offTextLen = 4
	offJob     = 8
	offErased  = 16
	offCut     = 32
	offText    = 64
	answerHead = 1024
)

// What a message of the worker is.
const (
	ready uint32 = 1 + iota
	done
	refused
)

// frameAlign is the alignment of the frames in a message.
const frameAlign = 64

var errMessage = errors.New("a message that makes no sense")

func framesName(name string) string  { return name + "-frames" }
func resultsName(name string) string { return name + "-results" }

func pictureSpec(size image.Point) frame.Spec {
	return frame.Spec{Format: frame.RGBA, Width: size.X, Height: size.Y}
}

// room says how large the pictures, and the regions of them, may be in the topics.
type room struct{ picture, region int64 } // bytes of a frame

// roomFor is the room that a picture needs.
func roomFor(size image.Point, region image.Rectangle) room {
	return room{pictureSpec(size).Size(), regionSpec(region).Size()}
}

// with is the room that has space for both.
func (r room) with(s room) room { return room{max(r.picture, s.picture), max(r.region, s.region)} }

// holds says whether there is room for what needs s.
func (r room) holds(s room) bool { return r.with(s) == r }

// framesOptions has as little room as possible, since pictures may be large. The members are
// the base, the worker, the viewer, and one more for somebody who looks on.
func (r room) framesOptions() *pubsub.Options {
	return &pubsub.Options{MaxSize: int(r.picture) + requestSize, Depth: 1, Members: 4, Loans: 1, Holds: 0}
}

// resultsOptions are the options of the topic for the two results of a picture.
func (r room) resultsOptions() *pubsub.Options {
	return &pubsub.Options{MaxSize: answerHead + 2*alignUp(int(r.region)), Depth: 1, Members: 2, Loans: 1, Holds: 0}
}

// size is how many bytes of shared memory the topics take.
func (r room) size() (sum int64, err error) {
	for _, o := range []*pubsub.Options{r.framesOptions(), r.resultsOptions()} {
		n, err := o.Size()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// regionSpec is the spec of a frame that has one region.
func regionSpec(region image.Rectangle) frame.Spec {
	return frame.Spec{Format: frame.RGBA, Width: region.Dx(), Height: region.Dy(), Region: region}
}

func alignUp(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// putRequest writes into a frame what the worker does with it.
func putRequest(b []byte, region image.Rectangle) {
	for i, v := range []int{region.Min.X, region.Min.Y, region.Dx(), region.Dy()} {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
}

// readRequest returns the region to be erased, and the picture, in place.
func readRequest(m *frame.Message) (*image.NRGBA, image.Rectangle, error) {
	src, ok := m.Image().(*image.NRGBA)
	if !ok {
		return nil, image.Rectangle{}, fmt.Errorf("%w: a picture of format %v", errMessage, m.Format())
	}
	var b [requestSize]byte // private: a hostile base may change what is shared
	if copy(b[:], m.Extra()) < requestSize {
		return nil, image.Rectangle{}, fmt.Errorf("%w: a request of %d bytes", errMessage, len(m.Extra()))
	}
	word := func(i int) int { return int(min(binary.LittleEndian.Uint32(b[4*i:]), frame.MaxSide+1)) }
	region := image.Rect(word(0), word(1), word(0)+word(2), word(1)+word(3))
	if region.Empty() || !region.In(src.Rect) {
		return nil, region, fmt.Errorf("%w: region %v of a picture of %d x %d pixels", errMessage, region, m.Width(), m.Height())
	}
	return src, region, nil
}

// publishReady says that there is a worker.
func publishReady(ctx context.Context, p *pubsub.Publisher) error {
	return publishText(ctx, p, ready, 0, "")
}

// publishText publishes a message without results.
func publishText(ctx context.Context, p *pubsub.Publisher, what uint32, job uint64, text string) error {
	b := make([]byte, answerHead)
	binary.LittleEndian.PutUint32(b[offWhat:], what)
	binary.LittleEndian.PutUint32(b[offTextLen:], uint32(copy(b[offText:], text)))
	binary.LittleEndian.PutUint64(b[offJob:], job)
	return p.Send(ctx, b)
}

// loanResults takes a message on loan that has room for both results of a region.
func loanResults(p *pubsub.Publisher, job uint64, region image.Rectangle) (l pubsub.Loan, erased, cut *frame.Frame, err error) {
	spec := regionSpec(region)
	size := int(spec.Size())
	if l, err = p.Loan(answerHead + 2*alignUp(size)); err != nil {
		return l, nil, nil, err
	}
	b := l.Bytes()
	clear(b[:answerHead])
	binary.LittleEndian.PutUint32(b[offWhat:], done)
	binary.LittleEndian.PutUint64(b[offJob:], job)
	at := answerHead
	for _, r := range []struct {
		off int
		f   **frame.Frame
	}{{offErased, &erased}, {offCut, &cut}} {
		if *r.f, err = frame.New(b[at:at+size], spec); err != nil {
			l.Discard()
			return l, nil, nil, err
		}
		binary.LittleEndian.PutUint64(b[r.off:], uint64(at))
		binary.LittleEndian.PutUint64(b[r.off+8:], uint64(size))
		at += alignUp(size)
	}
	return l, erased, cut, nil
}

// answer is a checked message of the worker. The results are in place.
type answer struct {
	what        uint32
	job         uint64
	text        string
	region      image.Rectangle // that of the results
	erased, cut *image.NRGBA    // as large as it, from (0, 0) on
}

func readAnswer(message []byte) (*answer, error) {
	b := make([]byte, answerHead) // private: a hostile worker may change what is shared
	if copy(b, message) < answerHead {
		return nil, fmt.Errorf("%w: an answer of %d bytes", errMessage, len(message))
	}
	le := binary.LittleEndian
	a := &answer{what: le.Uint32(b[offWhat:]), job: le.Uint64(b[offJob:])}
	n := min(le.Uint32(b[offTextLen:]), answerHead-offText)
	a.text = strings.ToValidUTF8(string(b[offText:][:n]), "�")
	switch a.what {
	case ready, refused:
		return a, nil
	case done:
	default:
		return a, fmt.Errorf("%w: answer %d", errMessage, a.what)
	}
	end := uint64(answerHead)
	for _, r := range []struct {
		off int
		m   **image.NRGBA
	}{{offErased, &a.erased}, {offCut, &a.cut}} {
		at, size := le.Uint64(b[r.off:]), le.Uint64(b[r.off+8:])
		if at < end || at > uint64(len(message)) || size > uint64(len(message))-at {
			return a, fmt.Errorf("%w: result of %d bytes at %d of %d", errMessage, size, at, len(message))
		}
		end = at + size
		f, err := frame.Open(message[at:end:end])
		if err != nil {
			return a, fmt.Errorf("%w: %w", errMessage, err)
		}
		m, ok := f.Image().(*image.NRGBA)
		if !ok {
			return a, fmt.Errorf("%w: result of format %v", errMessage, f.Format())
		}
		if *r.m = m; a.region != f.Region() && r.off != offErased {
			return a, fmt.Errorf("%w: results of the regions %v and %v", errMessage, a.region, f.Region())
		}
		a.region = f.Region()
	}
	return a, nil
}
