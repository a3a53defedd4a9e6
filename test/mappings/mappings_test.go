// Package mappings has the test that a process maps an object once, however often it has
// it open.
package mappings

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

const many = 1000

// kinds are the objects: make makes one with room for the opens that follow, and open has
// this process open it once more.
var kinds = map[samepage.Kind]struct{ make, open func() (io.Closer, error) }{
	samepage.KindMemory: {
		func() (io.Closer, error) { return samepage.Create("o", 1<<20, nil) },
		func() (io.Closer, error) {
			m, err := samepage.Open("o", nil)
			if err != nil {
				return nil, err
			}
			v, err := m.View(100, 1<<19, samepage.ReadOnly)
			return closers{v, m}, err
		},
	},
	samepage.KindMutex: {
		func() (io.Closer, error) { return ipcsync.CreateMutex("o", &ipcsync.Options{Members: many + 1}) },
		func() (io.Closer, error) { return ipcsync.OpenMutex("o", nil) },
	},
	samepage.KindRWMutex: {
		func() (io.Closer, error) { return ipcsync.CreateRWMutex("o", &ipcsync.Options{Members: many + 1}) },
		func() (io.Closer, error) { return ipcsync.OpenRWMutex("o", nil) },
	},
	samepage.KindSemaphore: {
		func() (io.Closer, error) {
			return ipcsync.CreateSemaphore("o", 1, 1, &ipcsync.Options{Members: many + 1})
		},
		func() (io.Closer, error) { return ipcsync.OpenSemaphore("o", nil) },
	},
	samepage.KindEvent: {
		func() (io.Closer, error) { return ipcsync.CreateEvent("o", &ipcsync.EventOptions{Members: many + 1}) },
		func() (io.Closer, error) { return ipcsync.OpenEvent("o", nil) },
	},
	samepage.KindTopic: {
		func() (io.Closer, error) { return pubsub.CreatePublisher("o", &pubsub.Options{Members: many + 1}) },
		func() (io.Closer, error) { return pubsub.OpenSubscriber("o", nil) },
	},
	samepage.KindService: {
		func() (io.Closer, error) { return rpc.CreateWorker("o", &rpc.Options{Members: many + 1}) },
		func() (io.Closer, error) { return rpc.OpenClient("o", nil) },
	},
	samepage.KindListener: {
		func() (io.Closer, error) { return stream.Listen("o", &stream.Options{Connections: many}) },
		func() (io.Closer, error) { return stream.Dial(context.Background(), "o", nil) },
	},
	samepage.KindCell: {
		func() (io.Closer, error) { return cell.CreateWriter("o", 64, &cell.Options{Members: many + 1}) },
		func() (io.Closer, error) { return cell.OpenReader("o", nil) },
	},
}

type closers []io.Closer

func (c closers) Close() error {
	for _, c := range c {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// A thousand subscribers to one topic need the mappings of one, and so it is with all kinds.
func TestMission003_22_OneMappingOfEachKind(t *testing.T) {
	for _, k := range samepage.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			f, ok := kinds[k]
			if !ok {
				t.Fatal("no row in the test's table")
			}
			ipctest.NeedNames(t)
			store := ipctest.Store(t)
			keep := func(c io.Closer, err error) {
				t.Helper()
				ipctest.NoErr(t, err)
				t.Cleanup(func() { _ = c.Close() })
			}
			// What was closed stays mapped until it is collected.
			for now, _ := object.Mapped(); now != 0; now, _ = object.Mapped() {
				runtime.GC()
			}
			keep(f.make())
			keep(f.open())
			bytes, _ := object.Mapped()
			maps := mapsOf(t, store)
			for range ipctest.Repeat(t, many, 100, "") - 1 {
				keep(f.open())
			}
			if now, _ := object.Mapped(); now != bytes {
				t.Errorf("%d bytes mapped for one, %d for many", bytes, now)
			}
			if now := mapsOf(t, store); now != maps {
				t.Errorf("the kernel has %d mappings of the object for one, %d for many", maps, now)
			}
			if bytes == 0 || runtime.GOOS == "linux" && maps == 0 {
				t.Errorf("%d bytes in %d mappings: the test has counted nothing", bytes, maps)
			}
		})
	}
}

// mapsOf is how many mappings the kernel has of files below a directory; 0 where it does
// not tell.
func mapsOf(t *testing.T, dir string) (n int) {
	if runtime.GOOS != "linux" {
		return 0
	}
	f, err := os.Open("/proc/self/maps")
	ipctest.NoErr(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), dir) {
			n++
		}
	}
	return n
}
