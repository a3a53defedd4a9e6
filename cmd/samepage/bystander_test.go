package main

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
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

// get and watch read a cell whose places are all taken.
func TestCellOfFullCell(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := cell.CreateWriter("c", 8, &cell.Options{Members: 1})
	ipctest.NoErr(t, err)
	defer w.Close()
	const told = "all places of cell c are taken, so this process reads it without joining"
	if code, _, text := samepageIn("cell", "get", "c"); code != exitMissing || !strings.Contains(text, told) || !strings.Contains(text, "no value yet") {
		t.Errorf("before the first value: exit code %d, %s", code, text)
	}
	ipctest.NoErr(t, w.Set(t.Context(), []byte("one")))
	for _, args := range [][]string{{"cell", "get", "c"}, {"cell", "get", "c", "--timeout", "5m"}} {
		if code, out, text := samepageIn(args...); code != 0 || out != "one" || !strings.Contains(text, told) {
			t.Errorf("%q: exit code %d, %q, %s", args, code, out, text)
		}
	}
	if _, out, _ := samepageIn("cell", "get", "c", "--json"); !strings.Contains(out, `"generation": 1`) || !strings.Contains(out, `"text": "one"`) {
		t.Errorf("JSON: %s", out)
	}
	watch := startProcess(t, "cell", "watch", "c", "--count", "2")
	watch.says(told)
	lines := bufio.NewReader(watch.out)
	for _, value := range []string{"one", "two"} {
		if l := watch.line(lines); l != value {
			t.Errorf("%q, want %q", l, value)
		}
		ipctest.NoErr(t, w.Set(t.Context(), []byte("two")))
	}
	watch.want(0, "")
}

// sub --follow goes on after the end of a stream that it only watches, and then with the next topic.
func TestFollowFullTopic(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	full := &pubsub.Options{MaxSize: 100, Members: 1, Lifetime: samepage.Persist}
	p, err := pubsub.CreatePublisher("t", full)
	ipctest.NoErr(t, err)
	sub := startProcess(t, "sub", "t", "--follow")
	sub.says("all places of topic t are taken")
	lines := bufio.NewReader(sub.out)
	sends := func(p *pubsub.Publisher, text string) {
		t.Helper()
		ipctest.NoErr(t, p.Send(t.Context(), []byte(text)))
		if l := sub.line(lines); l != text {
			t.Errorf("%q, want %q", l, text)
		}
	}
	sends(p, "one")
	ipctest.NoErr(t, p.Close())
	sub.says("t: stream ended")
	p, err = pubsub.OpenPublisher("t", nil)
	ipctest.NoErr(t, err)
	sends(p, "two")
	ipctest.NoErr(t, p.Close())
	for samepage.Remove("t", &samepage.Options{Kind: samepage.KindTopic}) != nil { // while sub looks, it is busy
		time.Sleep(time.Millisecond)
	}
	sub.says("name gone")
	p, err = pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 100})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1)) // it joins now
	sends(p, "three")
	ipctest.NoErr(t, p.Close())
}
