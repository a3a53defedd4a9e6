package samepage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy"
	"samepage/pubsub"
)

// smallStore gives the test a store of its own in a tmpfs with those options. The
// error says why there is none: only root mounts one.
func smallStore(t *testing.T, options string) error {
	t.Helper()
	dir := ipctest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	t.Cleanup(func() { ipctest.NoErr(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	t.Setenv("SAMEPAGE_DIR", dir)
	return nil
}

// A create, of whatever kind, that finds no space for bytes or for a file takes away
// what the dead have and tries again.
func TestCreateTakesTheSpaceOfTheDead(t *testing.T) {
	dir := ""
	creates := map[string]func(name string) (interface{ Close() error }, error){
		"memory": func(name string) (interface{ Close() error }, error) { return samepage.Create(name, 1<<20, nil) },
		"opened or created": func(name string) (interface{ Close() error }, error) {
			m, _, err := samepage.OpenOrCreate(name, 1<<20, nil)
			return m, err
		},
		"exact": func(name string) (interface{ Close() error }, error) {
			return samepage.Create(name, 1<<20, &samepage.Options{Exact: true})
		},
		"over a file": func(name string) (interface{ Close() error }, error) {
			return samepage.Create(name, 1<<20, &samepage.Options{File: filepath.Join(dir, name)})
		},
		"file": func(name string) (interface{ Close() error }, error) {
			return samepage.MapFile(filepath.Join(dir, name), 1<<20, nil)
		},
		"event":   func(name string) (interface{ Close() error }, error) { return ipcsync.CreateEvent(name, nil) },
		"mutex":   func(name string) (interface{ Close() error }, error) { return ipcsync.CreateMutex(name, nil) },
		"rwmutex": func(name string) (interface{ Close() error }, error) { return ipcsync.CreateRWMutex(name, nil) },
		"semaphore": func(name string) (interface{ Close() error }, error) {
			return ipcsync.CreateSemaphore(name, 1, 1, nil)
		},
		"topic":     func(name string) (interface{ Close() error }, error) { return pubsub.NewPublisher(name, nil) },
		"cell":      func(name string) (interface{ Close() error }, error) { return cell.NewWriter(name, 1<<14, nil) },
		"file lock": func(name string) (interface{ Close() error }, error) { return lockedFile(name) },
	}
	for what, create := range creates {
		for _, full := range []string{"bytes", "files"} {
			if what == "file lock" && full == "bytes" {
				continue // it has none
			}
			t.Run(what+", "+full, func(t *testing.T) {
				if err := smallStore(t, "size=8m,nr_inodes=40"); err != nil {
					t.Skip(err)
				}
				dir = os.Getenv("SAMEPAGE_DIR")
				first := must(samepage.Create("first", 1, nil))(t) // which looks for the dead
				defer closeMem(t, first)
				c := startAgent(t)
				for i := 0; ; i++ {
					var st unix.Statfs_t
					ipctest.NoErr(t, unix.Statfs(dir, &st))
					if full == "bytes" {
						c.Want(fmt.Sprintf("ok %d", st.Bavail*4096), "create dead %d", st.Bavail*4096)
						break
					}
					if st.Ffree == 0 {
						break
					}
					c.Want("ok 1", "create dead%d 1", i)
				}
				c.Kill()
				o, err := create("x")
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, o.Close())
			})
		}
	}
}

// unlocked is a lock that is unlocked when it is closed.
type unlocked struct{ *legacy.FileLock }

func (l unlocked) Close() error { return errors.Join(l.Unlock(), l.FileLock.Close()) }

func lockedFile(name string) (unlocked, error) {
	l, err := legacy.NewFileLock(name, nil)
	if err == nil {
		err = l.Lock(context.Background())
	}
	return unlocked{l}, err
}
