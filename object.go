package samepage

import (
	"sync"

	"samepage/internal/sys"
)

// An object is what all Memories of this process that opened one and the same
// object with one access have in common, so that a thousand of them need one
// descriptor, one lock and one mapping.
type object struct {
	sys  *sys.Object
	refs int // Memories; guarded by objects.mu

	mu   sync.Mutex
	maps []*mapping // that may be shared: not the copy-on-write ones
}

// mapping is a piece of an object in the address space.
type mapping struct {
	off    int64 // of b[0] in the object
	b      []byte
	access Access
	refs   int // guarded by object.mu
}

// objects are those of this process, by sys.Object.Key.
var objects = struct {
	mu  sync.Mutex
	all map[string]*object
}{all: map[string]*object{}}

// share finds the object that this process has already, and gives the second
// way to it up, or takes it in.
func share(o *sys.Object) *object {
	objects.mu.Lock()
	have := objects.all[o.Key]
	if have != nil {
		have.refs++
	} else {
		objects.all[o.Key] = &object{sys: o, refs: 1}
	}
	obj := objects.all[o.Key]
	objects.mu.Unlock()
	if have != nil {
		_ = o.Close()
	}
	return obj
}

// release gives one Memory's hold up, and with the last one the object.
func (o *object) release() error {
	objects.mu.Lock()
	o.refs--
	last := o.refs == 0
	if last {
		delete(objects.all, o.sys.Key)
	}
	objects.mu.Unlock()
	if !last {
		return nil
	}
	return o.sys.Close()
}

// alone says whether one Memory of this process, and nobody else, has the object.
func (o *object) alone() (bool, error) {
	alone, err := o.sys.Alone()
	if err == nil {
		err = o.sys.CheckName()
	}
	objects.mu.Lock()
	defer objects.mu.Unlock()
	return alone && o.refs == 1, err
}

// mapped counts the bytes that all views and windows of this process map.
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

// acquire maps at least n bytes at off, which the caller has checked, or shares
// a mapping that has them.
func (o *object) acquire(off int64, n int, a Access) (*mapping, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a != CopyOnWrite {
		for _, p := range o.maps {
			if p.access == a && p.off <= off && off+int64(n) <= p.off+int64(len(p.b)) {
				p.refs++
				return p, nil
			}
		}
	}
	start := off - off%int64(sys.Granularity())
	b, err := o.sys.Map(start, n+int(off-start), a)
	if err != nil {
		return nil, err
	}
	p := &mapping{off: start, b: b, access: a, refs: 1}
	if a != CopyOnWrite {
		o.maps = append(o.maps, p)
	}
	countMapped(int64(len(b)))
	return p, nil
}

// drop gives one hold on a mapping up, and with the last one the mapping.
func (o *object) drop(p *mapping) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.refs--; p.refs > 0 {
		return nil
	}
	for i, q := range o.maps {
		if q == p {
			o.maps = append(o.maps[:i], o.maps[i+1:]...)
			break
		}
	}
	countMapped(-int64(len(p.b)))
	return unmap(o.sys, p.b)
}

func init() {
	sys.ObjectOf = func(m any) *sys.Object { return m.(*Memory).obj.sys }
	sys.AnyObject = func(is func(*sys.Object) bool) bool {
		objects.mu.Lock()
		defer objects.mu.Unlock()
		for _, o := range objects.all {
			if is(o.sys) {
				return true
			}
		}
		return false
	}
}
