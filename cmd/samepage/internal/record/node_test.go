package record

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// readByNode is a message as test/mcap/read.js writes it.
type readByNode struct {
	Topic, Encoding, Schema string
	Sequence                uint32
	Log, Publish            string
	Value                   json.RawMessage
}

// The TypeScript library for MCAP reads in recordings what was published: counts, numbers, times,
// schemas and pixels. It needs Node, and packages of npm: test/mcap/run installs them, and sets
// SAMEPAGE_NODE to the folder that has them.
func TestNode(t *testing.T) {
	if os.Getenv("SAMEPAGE_NODE") == "" {
		t.Skip("SAMEPAGE_NODE is not set; test/mcap/run sets it")
	}
	ipctest.NeedNames(t)
	for _, o := range []Options{{}, {Compression: mcap.CompressionLZ4}, {Compression: mcap.CompressionZSTD}, {JPEG: 80}} {
		t.Run(fmt.Sprint(o.Compression, o.JPEG), func(t *testing.T) {
			o.Path = filepath.Join(ipctest.Dir(t), "node.mcap")
			want := recordForNode(t, o)
			compareWithNode(t, o.Path, want)
		})
	}
}

// readValue is a message of a topic in JSON, and the name of its schema.
type readValue struct{ schema, value string }

// recordForNode records some messages, and returns those of each topic.
func recordForNode(t *testing.T, o Options) map[string][]readValue {
	ipctest.Store(t)
	raw, err := pubsub.CreatePublisher("raw", &pubsub.Options{MaxSize: 1 << 20, Times: true, Depth: 1000})
	ipctest.NoErr(t, err)
	poses, err := pubsub.CreatePublisherOf[pose]("poses", &pubsub.Options{Times: true, Depth: 1000})
	ipctest.NoErr(t, err)
	cam, err := frame.CreatePublisher("cam", frame.Spec{Format: frame.RGBA, Width: 64, Height: 48}, &pubsub.Options{Times: true, EvictAfter: -1})
	ipctest.NoErr(t, err)
	end := start(t, o, []string{"raw", "poses", "cam"})
	ctx := t.Context()
	ipctest.NoErr(t, cam.WaitSubscribers(ctx, 1))
	ipctest.NoErr(t, raw.WaitReliableSubscribers(ctx, 1))
	ipctest.NoErr(t, poses.WaitReliableSubscribers(ctx, 1))
	want := map[string][]readValue{}
	wants := func(topic, schema, format string, args ...any) {
		want[topic] = append(want[topic], readValue{schema, fmt.Sprintf(format, args...)})
	}
	sum := func(b []byte) string {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	for i := range 60 {
		b := bytes.Repeat([]byte{byte(i)}, i*i*100)
		ipctest.NoErr(t, raw.Send(ctx, b))
		wants("raw", "", `{"data":%q}`, sum(b))
		p := pose{
			At: samepage.Time(1<<62 + int64(i)), Pos: [3]float64{1, float64(i) / 2, -3}, Valid: samepage.Bool(i % 2), Parts: [2]struct{ X, Y int16 }{{1, -2}, {3, int16(i)}},
			C: complex(1, 2),
		}
		p.Rot[1][2] = 0.5
		ipctest.NoErr(t, poses.Send(ctx, &p))
		wants("poses", "samepage/msg/Pose",
			`{"at":"%d","pos":[1,%s,-3],"rot":[0,0,0,0,0,0.5,0,0,0],"valid":%v,"padding":[0,0,0],"parts":[{"x":1,"y":-2},{"x":3,"y":%d}],"c":{"re":1,"im":2}}`,
			1<<62+int64(i), strconv.FormatFloat(float64(i)/2, 'g', -1, 64), i%2 == 1, i)
	}
	for _, format := range []frame.Format{frame.Gray, frame.Gray16, frame.RGB, frame.BGR, frame.RGBA, frame.BGRA, frame.NV12} {
		l, err := cam.Loan(frame.Spec{Format: format, Width: 64, Height: 48})
		ipctest.NoErr(t, err)
		var pixels []byte
		for k := range l.Planes() {
			ipctest.Paint(l.Pix(k), int(format))
			pixels = append(pixels, l.Pix(k)...)
		}
		if o.JPEG > 0 && picture.NoJPEG(format) == "" {
			var e picture.JPEGEncoder
			b, err := e.Encode(l.Frame, o.JPEG)
			ipctest.NoErr(t, err)
			wants("cam", jpegName, `{"format":"jpeg","frame":"cam","data":%q}`, sum(b))
		} else {
			wants("cam", imageName, `{"width":64,"height":48,"step":%d,"encoding":%q,"frame":"cam","data":%q}`, l.Stride(0), imageEncodings[format], sum(pixels))
		}
		ipctest.NoErr(t, l.Publish(ctx))
	}
	ipctest.NoErr(t, raw.Close())
	ipctest.NoErr(t, poses.Close())
	ipctest.NoErr(t, cam.Close())
	end()
	return want
}

func compareWithNode(t *testing.T, path string, want map[string][]readValue) {
	t.Helper()
	cmd := exec.Command("node", filepath.Join(os.Getenv("SAMEPAGE_NODE"), "read.js"), path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	ipctest.NoErr(t, err)
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	counts := map[string]int{}
	// The messages as we read them, in the order of the file's index.
	byGo := map[string]*Message{}
	next, err := f.Messages(0, 1<<63-1, Forward, func(*mcap.Channel) bool { return true })
	ipctest.NoErr(t, err)
	for m, err := next(); err == nil; m, err = next() {
		c, msg := *m, *m.Message
		c.Message = &msg
		byGo[fmt.Sprint(m.Channel.Topic, m.Sequence)] = &c
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var m readByNode
		ipctest.NoErr(t, json.Unmarshal(lines.Bytes(), &m))
		if m.Topic == eventTopic {
			continue
		}
		n := counts[m.Topic]
		counts[m.Topic]++
		if n >= len(want[m.Topic]) {
			t.Fatalf("%s: more than %d messages", m.Topic, n)
		}
		g := byGo[fmt.Sprint(m.Topic, m.Sequence)]
		if g == nil || m.Sequence != uint32(n+1) || m.Log != strconv.FormatUint(g.LogTime, 10) || m.Publish != strconv.FormatUint(g.PublishTime, 10) {
			t.Errorf("%s, message %d: %s", m.Topic, n+1, lines.Bytes())
		}
		if w := want[m.Topic][n]; m.Schema != w.schema || string(m.Value) != w.value {
			t.Errorf("%s, message %d: %s %s, want %s", m.Topic, n+1, m.Schema, m.Value, w)
		}
		if t.Failed() {
			return
		}
	}
	for topic, w := range want {
		if counts[topic] != len(w) {
			t.Errorf("%s: %d messages, want %d", topic, counts[topic], len(w))
		}
	}
}
