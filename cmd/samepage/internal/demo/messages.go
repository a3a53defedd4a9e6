package demo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"

	"samepage/frame"
	"samepage/pubsub"
	"samepage/rpc"
)

// The topic, the service, and what is in their messages. All words are little-endian.
//
// The base publishes frames in the topic: RGBA, as image.NRGBA has it. A frame's Seq is the number
// of the job, and its Time the time of publication. Then the base calls the service. The request:
//
//	offset  bytes  field
//	     0      8  Seq of the frame
//	     8     16  region to be erased: x, y, width, height, in pixels
//
// The worker reads the pixels in the topic. The response:
//
//	offset  bytes  field
//	     0     16  offset and size of what fills the region
//	    16     16  offset and size of what was there
//	    64         both, each a frame of the region, which says where it belongs
//
// The base knows the rest of both results: around the region one has the pixels of the
// source, and the other is transparent. So the results need the memory of two regions, and
// not of two pictures.
//
// If a worker dies, the call fails. The base waits for the next worker, and calls again. The frame
// is the history of the topic, so the next worker finds it there.
const (
	requestSize = 24

	offErased  = 0
	offCut     = 16
	answerHead = 64
)

// frameAlign is the alignment of the frames in a response.
const frameAlign = 64

var errMessage = errors.New("a message that makes no sense")

func framesName(name string) string { return name + "-frames" }
func workerName(name string) string { return name + "-worker" }

func pictureSpec(size image.Point) frame.Spec {
	return frame.Spec{Format: frame.RGBA, Width: size.X, Height: size.Y}
}

// room says how large the pictures, and the regions of them, may be in the shared memory.
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
// the base, the worker, the viewer, and one more for somebody who looks on. looks of them are
// subscribers for which the base reserves space.
func (r room) framesOptions() *pubsub.Options {
	return &pubsub.Options{MaxSize: int(r.picture), Depth: 1, Members: 4, Loans: 1, Holds: 0}
}

// workerOptions are the options of the service. The base calls for one picture at a time.
func (r room) workerOptions() *rpc.Options {
	return &rpc.Options{Calls: 1, Request: requestSize, Response: answerHead + 2*alignUp(int(r.region))}
}

const looks = 2

// size is how many bytes of shared memory the topic and the service take.
func (r room) size() (int64, error) {
	frames, err := r.framesOptions().InUse(1, looks)
	if err != nil {
		return 0, err
	}
	worker, err := r.workerOptions().Size()
	return frames + worker, err
}

// regionSpec is the spec of a frame that has one region.
func regionSpec(region image.Rectangle) frame.Spec {
	return frame.Spec{Format: frame.RGBA, Width: region.Dx(), Height: region.Dy(), Region: region}
}

func alignUp(n int) int { return (n + frameAlign - 1) &^ (frameAlign - 1) }

// putRequest writes a request.
func putRequest(b []byte, seq uint64, region image.Rectangle) {
	binary.LittleEndian.PutUint64(b, seq)
	for i, v := range []int{region.Min.X, region.Min.Y, region.Dx(), region.Dy()} {
		binary.LittleEndian.PutUint32(b[8+4*i:], uint32(v))
	}
}

// request is what the worker is asked for.
type request struct {
	seq    uint64
	region image.Rectangle
}

func readRequest(message []byte) (r request, err error) {
	var b [requestSize]byte // private: a hostile client may change what is shared
	if copy(b[:], message) < requestSize {
		return r, fmt.Errorf("%w: a request of %d bytes", errMessage, len(message))
	}
	word := func(i int) int { return int(min(binary.LittleEndian.Uint32(b[8+4*i:]), frame.MaxSide+1)) }
	r.seq = binary.LittleEndian.Uint64(b[:])
	r.region = image.Rect(word(0), word(1), word(0)+word(2), word(1)+word(3))
	return r, nil
}

// picture returns the picture of the frame that a request is about, in place. It takes frames until
// it has that one.
func (r *request) picture(frames *frame.Subscriber) (*image.NRGBA, error) {
	for {
		m, ok, err := frames.TryTake()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, fmt.Errorf("%w: a request for frame %d, which is not in the topic", errMessage, r.seq)
		case m.Seq() != r.seq:
			continue
		}
		src, ok := m.Image().(*image.NRGBA)
		if !ok {
			return nil, fmt.Errorf("%w: a picture of format %v", errMessage, m.Format())
		}
		if r.region.Empty() || !r.region.In(src.Rect) {
			return nil, fmt.Errorf("%w: region %v of a picture of %d x %d pixels", errMessage, r.region, m.Width(), m.Height())
		}
		return src, nil
	}
}

// respond makes the response to a call. It returns both results of a region, in place, for the
// caller to draw.
func respond(j *rpc.Job, region image.Rectangle) (erased, cut *image.NRGBA, err error) {
	spec := regionSpec(region)
	size := int(spec.Size())
	b, err := j.Response(answerHead + 2*alignUp(size))
	if err != nil {
		return nil, nil, err
	}
	clear(b[:answerHead])
	at := answerHead
	for _, r := range []struct {
		off int
		m   **image.NRGBA
	}{{offErased, &erased}, {offCut, &cut}} {
		f, err := frame.New(b[at:at+size], spec)
		if err != nil {
			return nil, nil, err
		}
		*r.m = nrgba(f)
		binary.LittleEndian.PutUint64(b[r.off:], uint64(at))
		binary.LittleEndian.PutUint64(b[r.off+8:], uint64(size))
		at += alignUp(size)
	}
	return erased, cut, nil
}

// answer is a checked response of the worker. The results are in place.
type answer struct {
	region      image.Rectangle // that of the results
	erased, cut *image.NRGBA    // as large as it, from (0, 0) on
}

func readAnswer(message []byte) (*answer, error) {
	var b [answerHead]byte // private: a hostile worker may change what is shared
	if copy(b[:], message) < answerHead {
		return nil, fmt.Errorf("%w: an answer of %d bytes", errMessage, len(message))
	}
	a := &answer{}
	end := uint64(answerHead)
	for _, r := range []struct {
		off int
		m   **image.NRGBA
	}{{offErased, &a.erased}, {offCut, &a.cut}} {
		at, size := binary.LittleEndian.Uint64(b[r.off:]), binary.LittleEndian.Uint64(b[r.off+8:])
		if at < end || at > uint64(len(message)) || size > uint64(len(message))-at {
			return nil, fmt.Errorf("%w: result of %d bytes at %d of %d", errMessage, size, at, len(message))
		}
		end = at + size
		f, err := frame.Open(message[at:end:end])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
		m, ok := f.Image().(*image.NRGBA)
		if !ok {
			return nil, fmt.Errorf("%w: result of format %v", errMessage, f.Format())
		}
		if *r.m = m; a.region != f.Region() && r.off != offErased {
			return nil, fmt.Errorf("%w: results of the regions %v and %v", errMessage, a.region, f.Region())
		}
		a.region = f.Region()
	}
	return a, nil
}
