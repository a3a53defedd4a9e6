package inspect_test

import (
	"os"
	"testing"

	"samepage"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// An object that another process truncates while it is watched is an error, and no fault.
func TestWatchTruncated(t *testing.T) {
	ipctest.Store(t)
	p := must(pubsub.CreatePublisher("t", nil))
	ipctest.NoErr(t, p.Send(bg, []byte("message")))
	w := watch(t, samepage.KindTopic, "t", &inspect.WatchOptions{From: inspect.FromNewest})
	i := must(samepage.Stat("t", &samepage.Options{Kind: samepage.KindTopic}))
	ipctest.NoErr(t, os.Truncate(i.Path, 4096))
	_, ok, err := w.Next(nil)
	if ok {
		t.Error("a message of nothing")
	}
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	_, ok, err = w.Newest(nil)
	if ok {
		t.Error("a message of nothing")
	}
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	_, err = inspect.Watch(samepage.KindTopic, "t", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	ipctest.NoErr(t, os.Truncate(i.Path, i.Size)) // so that the publisher can close
	ipctest.NoErr(t, p.Close())
}
