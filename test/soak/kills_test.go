package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/legacy/sharememory"
	"samepage/pubsub"
)

type closer interface{ Close() error }

// everything makes one of each kind of object, with bytes in those that have some. The
// names begin with prefix, and are those of nothing that there was before.
func everything(prefix string) (all []func() error, err error) {
	var failed error
	add := func(c closer, err error) {
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		all = append(all, c.Close)
	}
	memory := func(kind string, size int64, o *samepage.Options) {
		m, err := samepage.Create(prefix+kind, size, o)
		if err == nil {
			_, err = m.WriteAt(make([]byte, min(size, 1<<20)), 0)
		}
		add(m, err)
	}
	memory("memory", 3<<20, nil)
	memory("sparse", 1<<30, &samepage.Options{Sparse: true})
	file := filepath.Join(filepath.Dir(store.Where(layout.Local)), "file")
	memory("over-file", 1<<20, &samepage.Options{File: file})
	event, err := ipcsync.CreateEvent(prefix+"event", nil)
	add(event, err)
	mutex, err := ipcsync.CreateMutex(prefix+"mutex", nil)
	add(mutex, err)
	rwmutex, err := ipcsync.CreateRWMutex(prefix+"rwmutex", nil)
	add(rwmutex, err)
	semaphore, err := ipcsync.CreateSemaphore(prefix+"semaphore", 1, 1, nil)
	add(semaphore, err)
	topic, _, err := pubsub.OpenOrCreatePublisher(prefix+"topic", &pubsub.Options{MaxSize: 1 << 14})
	add(topic, err)
	value, _, err := cell.OpenOrCreateWriter(prefix+"cell", 1<<14, nil)
	add(value, err)
	return all, failed
}

// victim makes everything, holds a file's lock, and then makes everything else again and
// again until it is killed.
func victim(args []string) {
	_, err := everything(args[0])
	if err == nil {
		var l *sharememory.FileLock
		if l, err = sharememory.NewFileLock(args[0]+"lock", nil); err == nil {
			err = l.Lock(context.Background())
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		all, err := everything(fmt.Sprintf("%s-%d-", args[0], i))
		for _, close := range all {
			err = errors.Join(err, close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			return
		}
	}
}

func init() { helpers["victim"] = victim }

// Processes that are killed, each of which has names of its own, do not fill the
// machine: those who come later take away what they leave. SAMEPAGE_KILLS of them
// (make soak: 10000).
func TestSoakKilledWithNewNames(t *testing.T) {
	ipctest.NeedNames(t)
	kills := ipctest.Repeat(t, 40, 15, "SAMEPAGE_KILLS")
	if err := ipctest.SmallStore(t, "size=64m"); err != nil {
		t.Logf("the store has no limit, so files are only counted: %v", err)
		ipctest.Store(t)
	}
	// What one leaves: two of everything, on Windows with a file of its own for some.
	const most = 40
	for k := range kills {
		c := ipctest.Start(t, "victim", fmt.Sprintf("%d.", k))
		if l := c.Line(); l != "ready" {
			t.Fatalf("after %d kills: %s", k, l)
		}
		if n := len(must(os.ReadDir(store.Where(layout.Local)))(t)); n > most {
			t.Fatalf("after %d kills there are %d files, want at most %d", k, n, most)
		}
		c.Kill()
	}
	must(samepage.Clean())(t)
	for _, f := range must(os.ReadDir(store.Where(layout.Local)))(t) {
		if !f.IsDir() {
			t.Errorf("%s is left", f.Name())
		}
	}
	t.Logf("%d kills", kills)
}
