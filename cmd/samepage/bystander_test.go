package main

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// If all places of a topic are taken, sub watches it, says so, and takes all messages if nobody
// overwrites them. It ends like a subscriber.
func TestSubOfFullTopic(t *testing.T) {
	ipctest.NeedNames(t)
	for _, end := range []string{"", "the process at the other end has died"} {
		ipctest.Store(t)
		pub := startProcess(t, "pub", "t", "--members", "1", "--wait", "0", "--times", "--checksums")
		_, err := io.WriteString(pub.in, "one\ntwo\n")
		ipctest.NoErr(t, err)
		for st := (&pubsub.State{}); len(st.Lanes) == 0 || st.Lanes[0].Messages < 2; {
			if st, err = pubsub.Inspect("t", nil); err != nil {
				st = &pubsub.State{}
			}
		}
		sub, jsons := startProcess(t, "sub", "t"), startProcess(t, "sub", "t", "--json", "--from", "newest")
		for _, p := range []*running{sub, jsons} {
			p.says("all places of topic t are taken, so this process watches it without joining. No publisher waits for it, and it may miss messages")
		}
		lines, objects := bufio.NewReader(sub.out), bufio.NewReader(jsons.out)
		for _, want := range []string{"one", "two"} {
			if l := sub.line(lines); l != want {
				t.Errorf("%q, want %q", l, want)
			}
		}
		if l := jsons.line(objects); !strings.HasPrefix(l, `{"seq":2,"publisher":0,"time":"20`) || !strings.HasSuffix(l, `,"size":3,"text":"two"}`) {
			t.Error(l)
		}
		_, err = io.WriteString(pub.in, "three\n")
		ipctest.NoErr(t, err)
		if l := sub.line(lines); l != "three" {
			t.Errorf("%q, want the third line", l)
		}
		if end == "" {
			ipctest.NoErr(t, pub.in.Close())
			sub.want(0, "")
			jsons.want(0, "")
		} else {
			ipctest.NoErr(t, pub.cmd.Process.Kill())
			sub.want(8, end)
			jsons.want(8, end)
		}
		_ = pub.cmd.Wait()
	}
}

// snapshot takes a picture of such a topic.
func TestSnapshotOfFullTopic(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	spec := frame.Spec{Format: frame.Gray, Width: 8, Height: 8}
	p, err := frame.CreatePublisher("cam", spec, &pubsub.Options{Members: 1})
	ipctest.NoErr(t, err)
	defer p.Close()
	l, err := p.Loan(spec)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, l.Publish(t.Context()))
	file := filepath.Join(ipctest.Dir(t), "shot.png")
	code, _, text := samepageIn("snapshot", "cam", "-o", file)
	if want := fmt.Sprintf("wrote %s: message 1 of cam, 8 x 8 pixels", file); code != 0 || !strings.Contains(text, want) || !strings.Contains(text, "without joining") {
		t.Errorf("exit code %d, %s", code, text)
	}
}
