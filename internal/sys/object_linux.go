package sys

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// impl has the parts of an Object on Linux.
type impl struct {
	file *os.File // what is mapped
	path string   // of the entry, for messages
	at   place    // the file that was the entry when it was opened
	// lock carries the presence byte of the entry; nil for objects without one.
	lock  *kernel.Locks
	dir   *store.Dir
	entry string
	// fileLock carries the locks of the file below.
	fileLock *kernel.Locks
	reader   struct {
		mu sync.Mutex
		f  *os.File // for processes that get it read-only
	}
	memfd  bool
	frozen frozen
	holes  holes
}

// place identifies a file for the kernel.
type place struct{ dev, ino uint64 }

// placeOf returns the place of the file of st.
func placeOf(st *unix.Stat_t) place { return place{st.Dev, st.Ino} }

// Close leaves the object. If it was the last user of a name that does not persist, Close
// removes the name.
func (o *Object) Close() error {
	err := o.file.Close()
	o.frozen.release()
	if o.reader.f != nil {
		_ = o.reader.f.Close()
	}
	if o.fileLock != nil {
		o.fileLock.Close()
	}
	if o.lock != nil {
		e := &entryFile{lock: *o.lock}
		if serr := unix.Fstat(int(o.lock.F.Fd()), &e.st); serr != nil {
			o.lock.Close()
			err = errors.Join(err, serr)
		} else {
			e.leave(o.dir, o.entry)
		}
	}
	o.dir.Close()
	return err
}

// fileID returns the id of an object over the file of st.
func fileID(st *unix.Stat_t) (id layout.ID) {
	for i := range 8 {
		id[i] = byte(uint64(st.Dev) >> (8 * i))
		id[8+i] = byte(uint64(st.Ino) >> (8 * i))
	}
	return id
}

// setKey makes the key of an object over the file of st. The size belongs to the key, because a
// file may be mapped in part. So does the entry: users of one file by different names, or
// without a name, are present at different entries.
func (o *Object) setKey(st *unix.Stat_t) {
	entry := ""
	if o.lock != nil || o.Exact {
		entry = o.path
	}
	o.Key = fmt.Sprintf("%x.%x %d %v %v %s", st.Dev, st.Ino, o.Size, o.Kind, o.Access, entry)
}

// Alone says whether no other open file description, of this or another process, is present at the
// object. Errors: errors.ErrUnsupported for objects without an entry.
func (o *Object) Alone() (bool, error) {
	if o.lock == nil {
		return false, fmt.Errorf("the users of an object without an entry: %w", errors.ErrUnsupported)
	}
	held, _, err := o.lock.Held(presenceByte)
	return !held && err == nil, err
}
