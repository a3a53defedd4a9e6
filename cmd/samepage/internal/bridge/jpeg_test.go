package bridge

import (
	"cmp"
	"encoding/json"
	"image"
	"image/color"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// nearly says whether two colours are nearly the same.
func nearly(a, b color.Color) bool {
	x, y := color.NRGBA64Model.Convert(a).(color.NRGBA64), color.NRGBA64Model.Convert(b).(color.NRGBA64)
	for _, d := range []int{int(x.R) - int(y.R), int(x.G) - int(y.G), int(x.B) - int(y.B), int(x.A) - int(y.A)} {
		if d>>8 > 8 || -d>>8 > 8 {
			return false
		}
	}
	return true
}

// Frames that cross as JPEGs are frames of the same form on the other side, with all fields of
// their headers, and their messages have the same numbers and times. Those that a JPEG cannot carry
// are the same, and so are messages that are no frames.
func TestJPEG(t *testing.T) {
	ipctest.NeedNames(t)
	t.Setenv("JPEG", "90")
	for _, policy := range []Policy{Newest, Wait, Stored} {
		t.Run(string(policy), func(t *testing.T) {
			ipctest.Store(t)
			payload := int32(4096) // a picture has parts
			if policy == Stored {
				payload = 256 << 10 // each part waits for the disk
			}
			s := newServer(t, server.Options{MaxPayload: payload, JetStream: policy == Stored, StoreDir: ipctest.Dir(t)})
			_, near := startBoth(t, s, policy, "t")
			// All frames are there when the bridge begins to read.
			formats := frame.Formats()
			p, err := pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 2 << 20, Depth: 2 * len(formats), Times: true})
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1))
			local := await(t, "t")
			for i, format := range formats {
				spec := frame.Spec{
					Format: format, Width: 320, Height: 240, Stride: 1300, Seq: uint64(100 + i), Time: time.Unix(5, int64(i)).UTC(),
					Region: image.Rect(1, 2, 3, 4), Range: frame.RangeFull, Params: "p",
				}
				b := make([]byte, int(spec.Size())+i%3)
				f, err := frame.New(b, spec)
				ipctest.NoErr(t, err)
				frame.Draw(f, image.NewUniform(color.NRGBA{byte(10 * i), 100, byte(250 - 10*i), 255}))
				copy(b[spec.Size():], "xy")
				ipctest.NoErr(t, p.Send(t.Context(), b))
			}
			ipctest.NoErr(t, p.Send(t.Context(), []byte("no frame")))
			sub := await(t, "far.t")
			if policy != Stored {
				near.event("lossless")
			}
			lossy := 0
			for i, format := range append(formats, 0) {
				sent, err := local.Take(t.Context())
				ipctest.NoErr(t, err)
				m, err := sub.Take(t.Context())
				ipctest.NoErr(t, err)
				if m.Seq() != sent.Seq() || m.Missed() != 0 || !m.Time().Equal(sent.Time()) || len(m.Bytes()) != len(sent.Bytes()) {
					t.Fatalf("message %d, %d missed, of %d bytes and %v, want %d of %d bytes and %v", m.Seq(), m.Missed(), len(m.Bytes()), m.Time(), sent.Seq(), len(sent.Bytes()), sent.Time())
				}
				same := string(m.Bytes()) == string(sent.Bytes())
				if i == len(formats) || picture.NoJPEG(format) != "" {
					if !same {
						t.Errorf("%v: it has changed", format)
					}
					continue
				}
				was, err := frame.Open(sent.Bytes())
				ipctest.NoErr(t, err)
				f, err := frame.Open(m.Bytes())
				ipctest.NoErr(t, err)
				if f.Spec() != was.Spec() || string(m.Bytes()[len(f.Bytes()):]) != "xy"[:i%3] {
					t.Errorf("%v: %+v", format, f.Spec())
				}
				for _, at := range []image.Point{{0, 0}, {319, 239}} {
					if a, b := f.Image().At(at.X, at.Y), was.Image().At(at.X, at.Y); !nearly(a, b) {
						t.Errorf("%v: %v is %v, want %v", format, at, a, b)
					}
				}
				if !same {
					lossy++
				}
			}
			if lossy == 0 {
				t.Error("all frames are the same, so none was a JPEG")
			}
		})
	}
}

// Pictures from the network that are damaged, or that lie, are refused, told and counted. The
// others arrive.
func TestHostilePictures(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	nc, err := nats.Connect(s.url())
	ipctest.NoErr(t, err)
	defer nc.Close()
	at := subjects{"test"}
	asks, err := nc.SubscribeSync(at.back("t"))
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, nc.Flush())
	far := start(t, s, "subscribe", Newest, "t")
	_, err = asks.NextMsgWithContext(t.Context()) // it listens
	ipctest.NoErr(t, err)
	number := uint64(0)
	send := func(k kind, body []byte) {
		number++
		b := append(make([]byte, headerSize), body...)
		e := envelope{kind: k, session: 7, number: number, id: samepage.ID{1}}
		e.seal(b)
		ipctest.NoErr(t, nc.Publish(at.data("t"), b))
	}
	spec := frame.Spec{Format: frame.BGR, Width: 40, Height: 30}
	b := make([]byte, spec.Size())
	_, err = frame.New(b, spec)
	ipctest.NoErr(t, err)
	var e picture.JPEGEncoder
	good, why, err := e.Message(b, 80)
	if ipctest.NoErr(t, err); why != "" {
		t.Fatal(why)
	}
	meta := Meta{Name: "t", Policy: Newest, MaxSize: len(b), Depth: 64, Publishers: 1, Members: 4, Living: 1, Next: []uint64{1}, Since: []uint64{1}, Session: 7}
	text, _ := json.Marshal(&meta)
	seq := uint64(0)
	part := func(total uint32, bytes []byte) {
		seq++
		send(kindPicture, appendPart(nil, &part{total: total, seq: seq, bytes: bytes}))
	}
	whole := func(m picture.JPEGMessage) {
		b := appendPicture(nil, &m)
		part(uint32(len(b)), b)
	}
	send(kindOpen, text)
	far.event("attached")
	whole(good)
	sub := await(t, "far.t")
	// No two errors that follow each other have the same text: that is told once a second.
	lies := []func(){
		func() { m := good; m.Data = m.Data[:len(m.Data)-40]; whole(m) },
		func() { m := good; m.Data = []byte("no picture"); whole(m) },
		func() { m := good; m.Size = int64(len(b)) - 1; whole(m) },
		func() { m := good; m.Size = 1<<32 - 1; whole(m) },
		func() { m := good; m.Header = make([]byte, len(m.Header)); whole(m) },
		func() { m := good; m.Extra = make([]byte, 100); whole(m) },
		func() { part(10, make([]byte, 10)) },
		func() { part(1<<32-1, make([]byte, 100)) },
		func() { b := appendPicture(nil, &good); b[260] = 0xff; b[263] = 0xff; part(uint32(len(b)), b) },
	}
	for i, lie := range lies {
		lie()
		if e := far.event("damaged"); e.Topic != "far.t" {
			t.Errorf("%d: %+v", i, e)
		}
	}
	whole(good)
	send(kindEnd, appendPositions(nil, []position{{next: seq + 1}}))
	for i, missed := range []uint64{0, uint64(len(lies))} {
		m, err := sub.Take(t.Context())
		ipctest.NoErr(t, err)
		if _, err := frame.Open(m.Bytes()); err != nil || m.Missed() != missed {
			t.Errorf("%d: %v, %d missed, want %d", i, err, m.Missed(), missed)
		}
	}
	if _, err := sub.Take(t.Context()); err != io.EOF {
		t.Error(err)
	}
	if c := far.counts(); c.Messages != 2 || c.Lost != uint64(len(lies)) {
		t.Errorf("%+v, want %d lost", c, len(lies))
	}
}

// BenchmarkJPEG compares how a frame of 1920 x 1080 crosses as it is, compressed, and as a JPEG:
// how long one takes, and how many bytes of it go over the wire. The picture is smooth, with some
// noise. SAMEPAGE_FRAME can name a file with the message of another frame.
//
//	go test ./cmd/samepage/internal/bridge -run '^$' -bench JPEG
func BenchmarkJPEG(b *testing.B) {
	ipctest.NeedNames(b)
	spec := frame.Spec{Format: frame.RGB, Width: 1920, Height: 1080}
	msg := make([]byte, spec.Size())
	f, err := frame.New(msg, spec)
	ipctest.NoErr(b, err)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range f.Pix(0) {
		x, y := i/3%1920, i/3/1920
		f.Pix(0)[i] = byte(x/8 + y/5*(i%3) + r.IntN(8))
	}
	if name := os.Getenv("SAMEPAGE_FRAME"); name != "" {
		msg, err = os.ReadFile(name)
		ipctest.NoErr(b, err)
	}
	for _, way := range []string{"", "ZSTD=1", "JPEG=50", "JPEG=80", "JPEG=95"} {
		b.Run(cmp.Or(way, "as-it-is"), func(b *testing.B) {
			ipctest.Store(b)
			if name, value, ok := strings.Cut(way, "="); ok {
				b.Setenv(name, value)
			}
			s := newServer(b, server.Options{})
			startBoth(b, s, Wait, "t")
			p, err := pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: len(msg)})
			ipctest.NoErr(b, err)
			ipctest.NoErr(b, p.WaitSubscribers(b.Context(), 1))
			var sub *pubsub.Subscriber
			cross := func() {
				ipctest.NoErr(b, p.Send(b.Context(), msg))
				if sub == nil {
					sub = await(b, "far.t")
				}
				_, err := sub.Take(b.Context())
				ipctest.NoErr(b, err)
			}
			cross()
			before, err := s.s.Varz(nil)
			ipctest.NoErr(b, err)
			in := before.InBytes
			n := 0
			for b.Loop() {
				cross()
				n++
			}
			after, err := s.s.Varz(nil)
			ipctest.NoErr(b, err)
			b.ReportMetric(float64(after.InBytes-in)/float64(n), "bytes/frame")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(n), "ms/frame")
			ipctest.NoErr(b, p.Close())
		})
	}
}
