package segment

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/layout"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

// medium is what a segment of the suite lies in. Each call of the open that it gives
// is one more member.
type medium struct {
	name string
	lay  func(t *testing.T, b []byte) (open func(Repair) (*Handle, error), err error)
}

// The race detector sees the heap only: there it judges every access to the words.
// On the others the same tests show that the algorithms do what they do there.
var media = []medium{{"heap", onHeap}, {"unnamed", unnamed}, {"file", inFile}, {"named", named}}

// blank has the bytes of a new segment.
func blank(members int) []byte {
	h := &layout.SegmentHeader{
		Kind: uint32(layout.Mutex), Members: uint32(members), Live: layout.SegmentHeaderSize, LiveSize: layout.LockWordsSize,
		Table: layout.SegmentHeaderSize + layout.LockWordsSize,
	}
	h.Size = h.Table + uint64(members)*layout.MemberSize
	b := make([]byte, h.Size)
	copy(b, layout.EncodeSegment(h))
	return b
}

func opener(open func() (*object.Object, error)) func(Repair) (*Handle, error) {
	return func(r Repair) (*Handle, error) {
		o, err := open()
		if err != nil {
			return nil, err
		}
		return Open(&Object{Object: o}, layout.Mutex, layout.LockWordsSize, r)
	}
}

func unnamed(t *testing.T, b []byte) (func(Repair) (*Handle, error), error) {
	first, err := object.CreateUnnamed(&object.Spec{Kind: layout.Mutex, Size: int64(len(b)), Init: b})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = first.Release() })
	return opener(func() (*object.Object, error) {
		token, err := first.Grant(os.Getpid(), layout.ReadWrite)
		if err != nil {
			return nil, err
		}
		t, err := layout.ParseToken(token)
		if err != nil {
			return nil, err
		}
		return object.Receive(t)
	}), nil
}

func inFile(t *testing.T, b []byte) (func(Repair) (*Handle, error), error) {
	path := filepath.Join(ipctest.Dir(t), "segment")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return nil, err
	}
	return opener(func() (*object.Object, error) {
		return object.MapFile(&object.Spec{Kind: layout.Mutex, File: path})
	}), nil
}

func named(t *testing.T, b []byte) (func(Repair) (*Handle, error), error) {
	ipctest.Store(t)
	first, err := object.Create(&object.Spec{Name: "segment", Kind: layout.Mutex, Size: int64(len(b)), Init: b})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = first.Release() })
	return opener(func() (*object.Object, error) {
		return object.Open(&object.Spec{Name: "segment", Kind: layout.Mutex})
	}), nil
}

// onHeap has the segment on the heap, and takes the part of the kernel.
func onHeap(_ *testing.T, b []byte) (func(Repair) (*Handle, error), error) {
	room := make([]byte, len(b)+align)
	at := int(-reflect.ValueOf(room).Pointer() & (align - 1))
	heap := room[at:][:len(b):len(b)]
	copy(heap, b)
	hd, err := layout.ParseSegment(heap, layout.Mutex, int64(len(heap)))
	if err != nil {
		return nil, err
	}
	k := &heapKernel{holder: make([]*heapLocks, hd.Members), rung: map[*uint32]*sync.Cond{}}
	return func(r Repair) (*Handle, error) {
		h := New(heap, hd, &heapLocks{k}, r)
		h.ringer = heapRinger{k}
		if err := h.join(); err != nil {
			return nil, err
		}
		h.waker = heapWaker{k, h.wakerWord(h.slot)}
		return h, nil
	}, nil
}

// heapKernel is what a kernel does: it knows who holds which byte, and has threads
// sleep.
type heapKernel struct {
	mu     sync.Mutex
	holder []*heapLocks
	rung   map[*uint32]*sync.Cond
}

// sleepersOn are the sleepers on a word. The caller holds mu.
func (k *heapKernel) sleepersOn(word *uint32) *sync.Cond {
	c := k.rung[word]
	if c == nil {
		c = sync.NewCond(&k.mu)
		k.rung[word] = c
	}
	return c
}

type heapLocks struct{ k *heapKernel }

func (l *heapLocks) Take(i int) (bool, error) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	if h := l.k.holder[i]; h != nil && h != l {
		return false, nil
	}
	l.k.holder[i] = l
	return true, nil
}

func (l *heapLocks) Release(i int) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	l.k.holder[i] = nil
}

func (l *heapLocks) Held(i int) (bool, error) {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	return l.k.holder[i] != nil && l.k.holder[i] != l, nil
}

func (l *heapLocks) Close() error {
	l.k.mu.Lock()
	defer l.k.mu.Unlock()
	for i, h := range l.k.holder {
		if h == l {
			l.k.holder[i] = nil
		}
	}
	return nil
}

type heapWaker struct {
	k    *heapKernel
	word *uint32
}

// Sleep compares and sleeps in one step, as a futex does.
func (w heapWaker) Sleep(old uint32) {
	w.k.mu.Lock()
	defer w.k.mu.Unlock()
	if atomic.LoadUint32(w.word) == old {
		w.k.sleepersOn(w.word).Wait()
	}
}

func (heapWaker) Close() error { return nil }

type heapRinger struct{ k *heapKernel }

func (r heapRinger) Ring(_ int, _ uint32, word *uint32) {
	r.k.mu.Lock()
	defer r.k.mu.Unlock()
	r.k.sleepersOn(word).Broadcast()
}

func (heapRinger) Close() {}

// die is the death of a member as the others see it: its lock byte becomes free, and nothing else
// changes.
func (h *Handle) die(t *testing.T) {
	t.Helper()
	h.closed.Store(true)
	err := errors.Join(h.locks.Close(), h.waker.Close())
	h.ringer.Close()
	if h.obj != nil {
		err = errors.Join(err, h.obj.Release())
	}
	if err != nil {
		t.Error(err)
	}
}
