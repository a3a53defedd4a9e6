// Package object has the shared memory objects that this process has open. It turns a name into
// an object, and keeps the mappings of each object. All packages above build on it: the memories
// of package samepage, and the segments of locks, topics and cells.
//
// A process has one Object for all its users of the same object with the same access, and one
// mapping for all users of the same bytes. So a thousand subscribers to one topic need one
// descriptor of it and map it once.
//
// The errors of this package do not name the object, and do not say what was tried: the callers
// add both.
package object

import (
	"errors"
	"sync"

	"samepage/internal/sys"
	"samepage/layout"
)

// Object is an open object. Create, Open, OpenOrCreate, CreateUnnamed, MapFile, Receive and Own
// each give their caller one use of it. Release ends a use. The methods may be called
// concurrently while the caller has a use.
type Object struct {
	// Sys is the object of the system. Only Release closes it.
	Sys  *sys.Object
	uses int // guarded by open.mu

	mu   sync.Mutex
	maps []*Mapping // the mappings that can be shared: all except the copy-on-write ones
}

// Mapping is a part of an object that is mapped.
type Mapping struct {
	Bytes  []byte
	Off    int64 // offset of Bytes[0] in the object
	Access layout.Access
	uses   int // guarded by Object.mu
}

// open has the objects of this process, by sys.Object.Key.
var open = struct {
	mu  sync.Mutex
	all map[string]*Object
}{all: map[string]*Object{}}

// Own makes an Object of o and takes o over. If this process already has the same object open
// with the same access, Own adds a use to that Object and closes o.
func Own(o *sys.Object) *Object {
	open.mu.Lock()
	have := open.all[o.Key]
	if have != nil {
		have.uses++
	} else {
		open.all[o.Key] = &Object{Sys: o, uses: 1}
	}
	obj := open.all[o.Key]
	open.mu.Unlock()
	if have != nil {
		_ = o.Close()
	}
	return obj
}

// Release ends one use of the object. The last Release closes it. Mappings that are still in use
// stay.
func (o *Object) Release() error {
	open.mu.Lock()
	o.uses--
	last := o.uses == 0
	if last {
		delete(open.all, o.Sys.Key)
	}
	open.mu.Unlock()
	if !last {
		return nil
	}
	return o.Sys.Close()
}

// Any says whether is returns true for an object that this process has open. is must not open or
// release an object.
func Any(is func(*sys.Object) bool) bool {
	open.mu.Lock()
	defer open.mu.Unlock()
	for _, o := range open.all {
		if is(o.Sys) {
			return true
		}
	}
	return false
}

// OpenCount is the number of objects that this process has open. It is for tests.
func OpenCount() int {
	open.mu.Lock()
	defer open.mu.Unlock()
	return len(open.all)
}

// Alone says whether the caller has the only use of the object in all processes. Errors:
// errors.ErrUnsupported, ErrNameGone, ErrBusy.
func (o *Object) Alone() (bool, error) {
	alone, err := o.Sys.Alone()
	if err == nil {
		err = o.Sys.CheckName()
	}
	open.mu.Lock()
	defer open.mu.Unlock()
	return alone && o.uses == 1, err
}

// mapped counts the bytes of all mappings of this process.
var mapped struct {
	sync.Mutex
	now, peak int64
}

func countMapped(n int64) {
	mapped.Lock()
	mapped.now += n
	mapped.peak = max(mapped.peak, mapped.now)
	mapped.Unlock()
}

// Mapped is the number of bytes that this process maps now, and the largest number since the last
// ResetPeak. It is for tests.
func Mapped() (now, peak int64) {
	mapped.Lock()
	defer mapped.Unlock()
	return mapped.now, mapped.peak
}

// ResetPeak sets the peak of Mapped to the present number. It is for tests.
func ResetPeak() {
	mapped.Lock()
	mapped.peak = mapped.now
	mapped.Unlock()
}

// Map maps at least n bytes at off. The offset need not be aligned. If a mapping has these bytes
// already, Map adds a use to it. The caller has checked that the object has these bytes and
// allows the access. Errors: those of sys.Object.Map.
func (o *Object) Map(off int64, n int, a layout.Access) (*Mapping, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a != layout.CopyOnWrite {
		for _, p := range o.maps {
			if p.Access == a && p.Off <= off && off+int64(n) <= p.Off+int64(len(p.Bytes)) {
				p.uses++
				return p, nil
			}
		}
	}
	start := off - off%int64(sys.Granularity())
	b, err := o.Sys.Map(start, n+int(off-start), a)
	if err != nil {
		return nil, err
	}
	p := &Mapping{Off: start, Bytes: b, Access: a, uses: 1}
	if a != layout.CopyOnWrite {
		o.maps = append(o.maps, p)
	}
	countMapped(int64(len(b)))
	return p, nil
}

// At is the n bytes at offset off of the object. The mapping must contain them.
func (p *Mapping) At(off int64, n int) []byte {
	i := int(off - p.Off)
	return p.Bytes[i : i+n : i+n]
}

// Unmap ends one use of a mapping. The last Unmap gives it back to the system. The object may
// have been released already.
func (o *Object) Unmap(p *Mapping) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.uses--; p.uses > 0 {
		return nil
	}
	for i, q := range o.maps {
		if q == p {
			o.maps = append(o.maps[:i], o.maps[i+1:]...)
			break
		}
	}
	countMapped(-int64(len(p.Bytes)))
	return unmap(o.Sys, p.Bytes)
}

// ReadAt copies the len(p) bytes at off out of the object. The object must have them. If the file
// below was truncated, the error is ErrCorrupt.
func (o *Object) ReadAt(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	m, err := o.Map(off, len(p), layout.ReadOnly)
	if err != nil {
		return err
	}
	b := m.At(off, len(p))
	if !GuardedCopy(p, b, b) {
		_, err = o.Sys.ReadAt(p, off)
	}
	return errors.Join(err, o.Unmap(m))
}
