package pubsub_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

var update = flag.Bool("update", false, "write the golden files of the newest version anew")

// goldenOptions are the options of the topics in the golden files, each of which has three
// messages.
var goldenOptions = map[string]*pubsub.Options{
	"topic": {MaxSize: 64, Depth: 2, Members: 2, Lifetime: samepage.Persist, Checksums: true},
	"packs": {MaxSize: 64, Pack: 128, Depth: 2, Members: 2, Lifetime: samepage.Persist, Checksums: true},
}

func golden(version int, name string) string {
	return filepath.Join("..", "layout", "testdata", fmt.Sprint("v", version), name+".bin.gz")
}

// plant makes a topic that has the bytes of a golden file.
func plant(t *testing.T, version int, name string) {
	t.Helper()
	f, err := os.Open(golden(version, name))
	ipctest.NoErr(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ipctest.NoErr(t, err)
	b, err := io.ReadAll(z)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, create(t, name).Close())
	m, err := samepage.Open(name, &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	if m.Size() < int64(len(b)) {
		t.Fatalf("a topic of %d bytes has no room for the %d of version %d", m.Size(), len(b), version)
	}
	if _, err := m.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	ipctest.NoErr(t, m.Close())
}

// create makes a topic. No clean-up of the test keeps the publisher.
func create(t *testing.T, name string) *pubsub.Publisher {
	t.Helper()
	p, err := pubsub.CreatePublisher(name, goldenOptions[name])
	ipctest.NoErr(t, err)
	return p
}

// uproot removes a topic. On Windows its file goes when no process maps the messages any more, and
// this process maps those of a closed end until the collector has found it.
func uproot(t *testing.T, dir, name string) {
	t.Helper()
	ipctest.NoErr(t, samepage.Remove(name, &samepage.Options{Kind: samepage.KindTopic}))
	ipctest.Collect(t, "the topic's file", func() error {
		left, err := filepath.Glob(filepath.Join(dir, "*", "topic*"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("there is %s", left[0])
		}
		return err
	})
}

// newest is the version that this code writes.
const newest = 3

// The topics that this version wrote can be read and continued.
func TestGoldenTopics(t *testing.T) {
	ipctest.NeedNames(t)
	for name, opts := range goldenOptions {
		dir := ipctest.Store(t)
		if *update {
			p := create(t, name)
			first := 0
			if opts.Pack > 0 { // a pack of two, then a pack of one
				_, err := p.SendAll(bg, [][]byte{[]byte("message 1"), []byte("message 2")})
				ipctest.NoErr(t, err)
				first = 2
			}
			for i := first; i < 3; i++ {
				ipctest.NoErr(t, p.Send(bg, fmt.Append(nil, "message ", i+1)))
			}
			ipctest.NoErr(t, p.Close())
			h := mapTopic(t, name)
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(h.v.Bytes())
			ipctest.NoErr(t, z.Close())
			ipctest.NoErr(t, os.WriteFile(golden(newest, name), b.Bytes(), 0o644))
			ipctest.NoErr(t, h.close())
			uproot(t, dir, name)
		}
		plant(t, newest, name)
		s, err := pubsub.OpenSubscriber(name, nil)
		ipctest.NoErr(t, err)
		p, err := pubsub.OpenPublisher(name, nil)
		ipctest.NoErr(t, err)
		if p.Next() != 4 {
			t.Errorf("the publisher goes on with message %d, want 4", p.Next())
		}
		ipctest.NoErr(t, p.Send(bg, []byte("message 4")))
		for i := uint64(1); i <= 4; i++ {
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if want := fmt.Sprint("message ", i); string(m.Bytes()) != want || m.Seq() != i {
				t.Errorf("message %d is %q, want %q", m.Seq(), m.Bytes(), want)
			}
		}
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, p.Close())
		uproot(t, dir, name)
	}
}

// Topics of older versions are refused, and the error has both versions. The topic stays as it is.
func TestGoldenOldTopics(t *testing.T) {
	ipctest.NeedNames(t)
	for version := 1; version < newest; version++ {
		refuse(t, version)
	}
}

func refuse(t *testing.T, version int) {
	dir := ipctest.Store(t)
	plant(t, version, "topic")
	for what, open := range map[string]func() error{
		"OpenSubscriber": func() error { _, err := pubsub.OpenSubscriber("topic", nil); return err },
		"OpenPublisher":  func() error { _, err := pubsub.OpenPublisher("topic", nil); return err },
		"OpenOrCreatePublisher": func() error {
			_, _, err := pubsub.OpenOrCreatePublisher("topic", goldenOptions["topic"])
			return err
		},
		"Inspect": func() error { _, err := pubsub.Inspect("topic", nil); return err },
	} {
		err := open()
		ipctest.WantErr(t, err, samepage.ErrVersion)
		if text := err.Error(); !strings.Contains(text, fmt.Sprint("version ", version)) || !strings.Contains(text, fmt.Sprint("version ", newest)) {
			t.Errorf("%s: %q has not both versions", what, text)
		}
	}
	if all, err := samepage.List(); err != nil || len(all) != 1 || all[0].Name != "topic" {
		t.Errorf("List: %+v, %v", all, err)
	}
	uproot(t, dir, "topic")
}
