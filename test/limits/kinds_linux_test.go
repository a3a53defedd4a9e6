package limits

import (
	"context"
	"errors"
	"path/filepath"

	"samepage"
	"samepage/cell"
	"samepage/internal/sys"
	"samepage/ipcsync"
	"samepage/legacy/sharememory"
	"samepage/pubsub"
)

// everyKind are all that a process can have open: how it is made, below dir where it has
// a file, and a further handle of it.
var everyKind = []struct {
	name    string
	takes   sys.Descriptors
	create  func(dir, name string) (closer, error)
	further func(dir, name string) (closer, error)
}{
	{
		"memory", sys.NamedMemory,
		func(_, name string) (closer, error) { return samepage.Create(name, 1<<20, nil) },
		func(_, name string) (closer, error) { return samepage.Open(name, nil) },
	},
	{
		"opened or created", sys.NamedMemory,
		func(_, name string) (closer, error) {
			m, _, err := samepage.OpenOrCreate(name, 1<<20, nil)
			return m, err
		},
		func(_, name string) (closer, error) {
			m, _, err := samepage.OpenOrCreate(name, 1<<20, nil)
			return m, err
		},
	},
	{
		"exact", sys.ExactMemory,
		func(_, name string) (closer, error) {
			return samepage.Create(name, 1<<20, &samepage.Options{Exact: true})
		},
		func(_, name string) (closer, error) { return samepage.Open(name, &samepage.Options{Exact: true}) },
	},
	{
		"over a file", sys.NamedFile,
		func(dir, name string) (closer, error) {
			return samepage.Create(name, 1<<20, &samepage.Options{File: filepath.Join(dir, name)})
		},
		func(_, name string) (closer, error) { return samepage.Open(name, nil) },
	},
	{
		"file", sys.MappedFile,
		func(dir, name string) (closer, error) {
			return samepage.MapFile(filepath.Join(dir, name), 1<<20, nil)
		},
		func(dir, name string) (closer, error) {
			return samepage.MapFile(filepath.Join(dir, name), 1<<20, nil)
		},
	},
	{
		"unnamed", sys.UnnamedMemory,
		func(string, string) (closer, error) { return samepage.CreateUnnamed(1<<20, nil) },
		nil,
	},
	{
		"event", sys.Lock,
		func(_, name string) (closer, error) { return ipcsync.CreateEvent(name, nil) },
		func(_, name string) (closer, error) { return ipcsync.OpenEvent(name, nil) },
	},
	{
		"mutex", sys.Lock,
		func(_, name string) (closer, error) { return ipcsync.CreateMutex(name, nil) },
		func(_, name string) (closer, error) { return ipcsync.OpenMutex(name, nil) },
	},
	{
		"rwmutex", sys.Lock,
		func(_, name string) (closer, error) { return ipcsync.CreateRWMutex(name, nil) },
		func(_, name string) (closer, error) { return ipcsync.OpenRWMutex(name, nil) },
	},
	{
		"semaphore", sys.Lock,
		func(_, name string) (closer, error) { return ipcsync.CreateSemaphore(name, 1, 1, nil) },
		func(_, name string) (closer, error) { return ipcsync.OpenSemaphore(name, nil) },
	},
	{
		"topic", sys.Lock,
		func(_, name string) (closer, error) { return pubsub.CreatePublisher(name, nil) },
		func(_, name string) (closer, error) { return pubsub.OpenSubscriber(name, nil) },
	},
	{
		"cell", sys.Lock,
		func(_, name string) (closer, error) { return cell.CreateWriter(name, 1<<14, nil) },
		func(_, name string) (closer, error) { return cell.OpenReader(name, nil) },
	},
	{
		"file lock", sys.FileLock,
		func(_, name string) (closer, error) { return lockedFile(name) },
		nil,
	},
}

// unlocked is a lock that is unlocked when it is closed.
type unlocked struct{ *sharememory.FileLock }

func (l unlocked) Close() error { return errors.Join(l.Unlock(), l.FileLock.Close()) }

func lockedFile(name string) (unlocked, error) {
	l, err := sharememory.NewFileLock(name, nil)
	if err == nil {
		err = l.Lock(context.Background())
	}
	return unlocked{l}, err
}
