package legacy

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"math"
	"strconv"
	"sync"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/option"
	"samepage/internal/segment"
)

// ShareMemoryLayout is one of the two layouts of ShareMemory. They have different
// names, so programs of the one do not see the other.
type ShareMemoryLayout int

const (
	// ShareMemorySeed is the older one: section ShareMemoryMap-NAME, lock files
	// ShareMemoryLockedFile-NAME.mdb.{rlc,wlc}, and one zero byte behind the content. Its
	// C++ readers compute the checksum and do not compare it.
	ShareMemorySeed ShareMemoryLayout = iota
	// ShareMemoryHead is the newer one: section SMM-NAME, lock files
	// BOOT_SMLF-NAME.mdb.{rlc,wlc} with the time of boot, and nothing behind the content.
	ShareMemoryHead
)

func (l ShareMemoryLayout) String() string {
	switch l {
	case ShareMemorySeed:
		return "seed"
	case ShareMemoryHead:
		return "head"
	}
	return "ShareMemoryLayout(" + strconv.Itoa(int(l)) + ")"
}

// ShareMemoryOptions say which ShareMemory is meant. The zero value, and nil, mean the
// older layout with its lock files where the C++ programs have them.
type ShareMemoryOptions struct {
	Layout ShareMemoryLayout
	Lock   FileLockOptions
	// Truncate has a Write of more than there is room for write what fits, as the C++
	// writer does, and say so with samepage.ErrTruncated. Default: such a value is refused.
	Truncate bool
}

// names are those of the section and the lock of a ShareMemory.
func (o *ShareMemoryOptions) names(name string) (section, lock string, err error) {
	switch {
	case name == "":
		return "", "", fmt.Errorf("%w: it is empty", samepage.ErrName)
	case o.Layout == ShareMemorySeed:
		return seedSection + name, seedLock + name + lockEnding, nil
	case o.Layout == ShareMemoryHead:
		boot, err := o.Lock.boot()
		return headSection + name, strconv.FormatInt(boot, 10) + "_" + headLock + name + lockEnding, err
	}
	return "", "", option.OneOf("Layout", o.Layout, ShareMemorySeed, ShareMemoryHead)
}

// NewShareMemoryLock makes a handle on the lock of the ShareMemory of that name,
// whether or not there is one. Errors: those of NewFileLock.
func NewShareMemoryLock(name string, opts *ShareMemoryOptions) (*FileLock, error) {
	s, err := newShareMemory(name, opts, true)
	if err != nil {
		return nil, fmt.Errorf("legacy: lock of ShareMemory %q: %w", name, err)
	}
	return s.lock, nil
}

// shareMemory is what writers and readers have in common.
type shareMemory struct {
	name    string
	section string
	opts    ShareMemoryOptions
	lock    *FileLock
	*shareBlock
	guard forgotten.Guard
}

// shareBlock is what a writer or a reader has open.
type shareBlock struct {
	mem *samepage.Memory

	mu   sync.Mutex
	view *samepage.View // of everything; nil until somebody looks in place
}

// giveBack closes the block of somebody who was forgotten.
func (b *shareBlock) giveBack() (kept bool) {
	_ = b.close()
	return false
}

func (b *shareBlock) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.view != nil {
		err = b.view.Close()
		b.view = nil
	}
	return errors.Join(err, b.mem.Close())
}

// newShareMemory has no memory yet. It makes the folder of the lock files if that is
// asked for.
func newShareMemory(name string, opts *ShareMemoryOptions, makeDir bool) (*shareMemory, error) {
	s := &shareMemory{name: name}
	if opts != nil {
		s.opts = *opts
	}
	section, lock, err := s.opts.names(name)
	if err != nil {
		return nil, err
	}
	if s.lock, err = newFileLock(lock, &s.opts.Lock, makeDir); err != nil {
		return nil, err
	}
	s.section = section
	return s, nil
}

func (s *shareMemory) wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("legacy: %s ShareMemory %q: %w", op, s.name, err)
	}
	return nil
}

// Name is the name that it was made or opened by.
func (s *shareMemory) Name() string { return s.name }

// Close gives it up. The block goes with the last who has it open, reader or writer. A
// second Close does nothing. Errors: samepage.ErrBusy while a method of it has the lock.
func (s *shareMemory) Close() error {
	// Afterwards nobody gets at the content any more.
	if err := s.lock.Close(); err != nil {
		return s.wrap("close", inner(err))
	}
	s.guard.Done()
	return s.wrap("close", s.close())
}

// readHeader copies the header once.
func (s *shareMemory) readHeader() (h shareHeader, err error) {
	var b [headSize]byte
	if s.mem.Size() < headSize {
		return h, fmt.Errorf("section of %d bytes, the header has %d: %w", s.mem.Size(), headSize, samepage.ErrCorrupt)
	}
	if _, err := s.mem.ReadAt(b[:], 0); err != nil {
		return h, err
	}
	return decodeShareHeader(&b), nil
}

// Len is the size of the value, in bytes, at this moment, also while somebody writes;
// 0 before the first one. Errors: those of Read, but for samepage.ErrChecksum.
func (s *shareMemory) Len() (int, error) {
	h, err := s.readHeader()
	if err != nil {
		return 0, s.wrap("length of", err)
	}
	n, err := s.opts.Layout.size(&h, s.mem.Size())
	return n, s.wrap("length of", err)
}

// reading calls f with the header, which is sound, under the read lock.
func (s *shareMemory) reading(ctx context.Context, op string, f func(h *shareHeader) error) (err error) {
	if err := s.lock.RLock(ctx); err != nil {
		return s.wrap(op, inner(err))
	}
	defer func() { err = s.wrap(op, errors.Join(err, inner(s.lock.RUnlock()))) }()
	h, err := s.readHeader()
	if err != nil {
		return err
	}
	if _, err := s.opts.Layout.size(&h, s.mem.Size()); err != nil {
		return err
	}
	return f(&h)
}

// pieces are what a content is read by that is only to be summed up.
var pieces = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// sum computes the checksum of the content from its byte at, on.
func (s *shareMemory) sum(h *shareHeader, crc uint64, at int) (uint64, error) {
	piece := pieces.Get().(*[64 << 10]byte)
	defer pieces.Put(piece)
	for at < int(h.ContentSize) {
		b := piece[:min(len(piece), int(h.ContentSize)-at)]
		if _, err := s.mem.ReadAt(b, int64(headSize+at)); err != nil {
			return 0, err
		}
		crc = crc64.Update(crc, crcTable, b)
		at += len(b)
	}
	return crc, nil
}

// checkTail checks the byte behind the content. Who was killed before writing it has
// written another content, so the checksum goes first.
func (s *shareMemory) checkTail(h *shareHeader) error {
	if s.opts.Layout.tail() == 0 {
		return nil
	}
	var b [seedTail]byte
	if _, err := s.mem.ReadAt(b[:], int64(headSize)+int64(h.ContentSize)); err != nil {
		return err
	}
	if b[0] != 0 {
		return fmt.Errorf("byte %#x behind the content of %d bytes, want 0: %w", b[0], h.ContentSize, samepage.ErrCorrupt)
	}
	return nil
}

// ShareMemoryStat is what is known of a ShareMemory and its health.
type ShareMemoryStat struct {
	Name     string
	Layout   ShareMemoryLayout
	Section  string // name of the section
	LockFile string // path of the lock files without .wlc and .rlc
	Size     int64  // of the section; on Windows rounded up to a page for who did not make it

	// The header as it stands, whatever it says. TailSize means nothing in
	// ShareMemoryHead.
	MemorySize, HeadSize, ContentSize, TailSize int32
	CRC                                         uint64

	// What follows from it; 0 when its sizes cannot be right.
	Cap      int    // room for a value, in bytes
	Computed uint64 // the content's CRC-64/XZ

	// Problem is nil when all is well, and otherwise what Read would say.
	Problem error
}

// Stat tells of the block's health, under the read lock, and changes nothing. What is
// wrong with the block is not an error of Stat, but its Problem. Errors: those of
// FileLock.RLock.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *shareMemory) Stat(ctx context.Context) (ShareMemoryStat, error) {
	st := ShareMemoryStat{Name: s.name, Layout: s.opts.Layout, Section: s.section, LockFile: s.lock.Name(), Size: s.mem.Size()}
	if err := s.lock.RLock(ctx); err != nil {
		return st, s.wrap("stat", inner(err))
	}
	st.Problem = s.examine(&st)
	return st, s.wrap("stat", inner(s.lock.RUnlock()))
}

func (s *shareMemory) examine(st *ShareMemoryStat) error {
	h, err := s.readHeader()
	if err != nil {
		return err
	}
	st.MemorySize, st.HeadSize, st.ContentSize, st.TailSize, st.CRC = h.MemorySize, h.HeadSize, h.ContentSize, h.TailSize, h.CRC
	if st.Cap, err = s.opts.Layout.room(&h, st.Size); err != nil {
		return err
	}
	if _, err := s.opts.Layout.size(&h, st.Size); err != nil {
		return err
	}
	if st.Computed, err = s.sum(&h, 0, 0); err != nil {
		return err
	}
	return errors.Join(checkCRC(&h, st.Computed), s.checkTail(&h))
}

// ShareMemoryWriter writes the latest value of a ShareMemory, as the C++ class
// ShareMemoryWrite does. There may be several writers at a time. All its methods may be
// called concurrently.
//
// A writer of this package keeps what stands in a block that it comes to. A C++ writer
// clears the header when it comes, without the lock: the value is gone then, for
// everybody, until the next Write.
type ShareMemoryWriter struct {
	shareMemory
	room int // as the section was made, whatever its header says later
}

// CreateShareMemory makes a block with room for a value of size bytes, and no value
// yet, under the write lock, so that who takes the lock never sees it half made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: fs.ErrExist, samepage.ErrName, samepage.ErrNegativeSize, samepage.ErrZeroSize,
// samepage.ErrTooLarge (sizes have 31 bits), samepage.ErrKindMismatch, samepage.ErrNoSpace,
// and those of NewFileLock and FileLock.Lock.
func CreateShareMemory(ctx context.Context, name string, size int, opts *ShareMemoryOptions) (*ShareMemoryWriter, error) {
	w, _, err := newShareMemoryWriter(ctx, name, size, opts, false)
	if err != nil {
		return nil, fmt.Errorf("legacy: create ShareMemory %q with room for %d bytes: %w", name, size, err)
	}
	return w, nil
}

// OpenOrCreateShareMemory makes a block, or comes to the one that there is, with its
// value and its room, and says which. A size of 0 takes whatever room there is, where
// there is a block.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of CreateShareMemory but for fs.ErrExist; samepage.ErrTooLarge also when
// there is less room than size; samepage.ErrVersion and samepage.ErrCorrupt when the
// block's header does not say how much there is.
func OpenOrCreateShareMemory(ctx context.Context, name string, size int, opts *ShareMemoryOptions) (w *ShareMemoryWriter, existed bool, err error) {
	w, existed, err = newShareMemoryWriter(ctx, name, size, opts, true)
	if err != nil {
		if size == 0 {
			return nil, false, fmt.Errorf("legacy: open ShareMemory %q: %w", name, err)
		}
		return nil, false, fmt.Errorf("legacy: open or create ShareMemory %q with room for %d bytes: %w", name, size, err)
	}
	return w, existed, nil
}

func newShareMemoryWriter(ctx context.Context, name string, size int, opts *ShareMemoryOptions, attach bool) (w *ShareMemoryWriter, existed bool, err error) {
	takes := attach && size == 0 // what there is, and makes nothing
	s, err := newShareMemory(name, opts, !takes)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if size != 0 || !attach {
		if err := option.Size("size", int64(size), int64(math.MaxInt32-s.opts.Layout.around())); err != nil {
			return nil, false, err
		}
	}
	if s.opts.Layout == ShareMemoryHead {
		// What cannot be removed hinders nobody.
		_, _ = CleanFileLocks(&s.opts.Lock)
	}
	if takes {
		if err := s.checkThere(); err != nil {
			return nil, false, errors.Join(err, s.lock.Close())
		}
	}
	if err := s.lock.Lock(ctx); err != nil {
		return nil, false, inner(err)
	}
	w = &ShareMemoryWriter{shareMemory: shareMemory{name: name, section: s.section, opts: s.opts, lock: s.lock, shareBlock: &shareBlock{}}}
	existed, err = w.enter(size, attach)
	if err := errors.Join(err, inner(s.lock.Unlock())); err != nil {
		if w.mem != nil {
			err = errors.Join(err, w.mem.Close())
		}
		return nil, false, err
	}
	w.guard = forgotten.Watch(w, "writer of ShareMemory", name, (*shareBlock).giveBack, w.shareBlock)
	return w, existed, nil
}

// openThere opens the section that there is.
func (s *shareMemory) openThere(a samepage.Access) (*samepage.Memory, error) {
	o := memoryOptions()
	o.Access = a
	m, err := samepage.Open(s.section, o)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is none to take the size of: %w: %w", samepage.ErrZeroSize, err)
	}
	return m, err
}

// checkThere says whether there is a block, and the folder of its lock.
func (s *shareMemory) checkThere() error {
	m, err := s.openThere(samepage.ReadOnly)
	if err != nil {
		return err
	}
	return errors.Join(s.lock.checkFolder(), m.Close())
}

// enter makes the section, or opens it. The caller has the write lock.
func (w *ShareMemoryWriter) enter(size int, attach bool) (existed bool, err error) {
	o := memoryOptions()
	o.Init = w.opts.Layout.header(size, 0, 0).encode()
	all := int64(size + w.opts.Layout.around())
	switch {
	case !attach:
		w.mem, err = samepage.Create(w.section, all, o)
	case size == 0:
		w.mem, err = w.openThere(samepage.ReadWrite)
		existed = true
	default:
		w.mem, existed, err = samepage.OpenOrCreate(w.section, all, o)
	}
	if err != nil {
		return false, err
	}
	w.room = size
	if existed {
		err = w.adopt(size)
	}
	return existed, err
}

// adopt takes a section over that somebody else has made.
func (w *ShareMemoryWriter) adopt(size int) error {
	h, err := w.readHeader()
	if err != nil {
		return err
	}
	l, section := w.opts.Layout, min(w.mem.Size(), math.MaxInt32)
	unmade := h == shareHeader{} // its maker died, or does not lock, as the C++ one does not
	if unmade {
		// What the section has room for; nobody knows better on Windows, where its size is
		// known rounded up.
		h = *l.header(int(section)-l.around(), 0, 0)
	}
	if w.room, err = l.room(&h, w.mem.Size()); err != nil {
		return err
	}
	if size > w.room {
		return fmt.Errorf("there is one with room for %d: %w", w.room, samepage.ErrTooLarge)
	}
	if !unmade {
		return nil
	}
	if size > 0 {
		w.room = size
	}
	_, err = w.mem.WriteAt(l.header(w.room, 0, 0).encode(), 0)
	return err
}

// Cap is how large a value may be, in bytes.
func (w *ShareMemoryWriter) Cap() int { return w.room }

// Write makes p the latest value, under the write lock, and returns how many bytes were
// written. All of the header is written anew, from what this writer knows, so it heals
// what others have spoilt.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrTooLarge (nothing is written), samepage.ErrTruncated (with
// ShareMemoryOptions.Truncate: the first Cap bytes are), fs.ErrInvalid (p is nil; a
// value of no bytes is not), and those of FileLock.Lock.
func (w *ShareMemoryWriter) Write(ctx context.Context, p []byte) (n int, err error) {
	n, err = w.write(ctx, p)
	return n, w.wrap("write", err)
}

func (w *ShareMemoryWriter) write(ctx context.Context, p []byte) (n int, err error) {
	if p == nil {
		return 0, fmt.Errorf("no value: %w", fs.ErrInvalid)
	}
	var cut error
	if len(p) > w.room {
		what := samepage.ErrTooLarge
		if w.opts.Truncate {
			what = samepage.ErrTruncated
		}
		cut = fmt.Errorf("value of %d bytes, there is room for %d: %w", len(p), w.room, what)
		if !w.opts.Truncate {
			return 0, cut
		}
		p = p[:w.room]
	}
	head := w.opts.Layout.header(w.room, len(p), crc64.Checksum(p, crcTable)).encode()
	if err := w.lock.Lock(ctx); err != nil {
		return 0, inner(err)
	}
	defer func() { err = errors.Join(err, inner(w.lock.Unlock())) }()
	// The tail first: whoever dies between two of these steps leaves the value as it was,
	// or one that the checksum tells.
	if tail := w.opts.Layout.tail(); tail > 0 {
		if _, err := w.mem.WriteAt(make([]byte, tail), int64(headSize+len(p))); err != nil {
			return 0, err
		}
	}
	if _, err := w.mem.WriteAt(head, 0); err != nil {
		return 0, err
	}
	if n, err = w.mem.WriteAt(p, headSize); err != nil {
		return n, err
	}
	return n, cut
}

// ShareMemoryReader reads the latest value of a ShareMemory, as the C++ class
// ShareMemoryRead does. All its methods may be called concurrently.
//
// Whatever stands in the block is checked before it is used. The lock keeps out only
// writers who take it; a value that one without it has spoilt is samepage.ErrChecksum or
// samepage.ErrCorrupt, until the next Write.
type ShareMemoryReader struct{ shareMemory }

// OpenShareMemory opens the block of that name. It never makes one and never waits for
// one.
//
// Errors: fs.ErrNotExist, samepage.ErrName, fs.ErrPermission, samepage.ErrKindMismatch,
// and those of NewFileLock, of them samepage.ErrStore also when there is no folder of the
// lock files: it is not made here, for whoever writes the block has made it.
func OpenShareMemory(name string, opts *ShareMemoryOptions) (*ShareMemoryReader, error) {
	r, err := openShareMemory(name, opts)
	if err != nil {
		return nil, fmt.Errorf("legacy: open ShareMemory %q: %w", name, err)
	}
	return r, nil
}

func openShareMemory(name string, opts *ShareMemoryOptions) (*ShareMemoryReader, error) {
	s, err := newShareMemory(name, opts, false)
	if err != nil {
		return nil, err
	}
	o := memoryOptions()
	o.Access = samepage.ReadOnly
	m, err := samepage.Open(s.section, o)
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.lock.checkFolder(); err != nil {
		return nil, errors.Join(err, s.lock.Close(), m.Close())
	}
	r := &ShareMemoryReader{shareMemory{name: name, section: s.section, opts: s.opts, lock: s.lock, shareBlock: &shareBlock{mem: m}}}
	r.guard = forgotten.Watch(r, "reader of ShareMemory", name, (*shareBlock).giveBack, r.shareBlock)
	return r, nil
}

// AwaitShareMemory opens the block of that name, and waits for it when there is none
// yet, or only one without a header.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenShareMemory but for fs.ErrNotExist, and the error of ctx (a
// deadline matches os.ErrDeadlineExceeded too).
func AwaitShareMemory(ctx context.Context, name string, opts *ShareMemoryOptions) (*ShareMemoryReader, error) {
	var r *ShareMemoryReader
	err := segment.Until(ctx, func() (_ bool, err error) {
		r, err = openShareMemory(name, opts)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if h, err := r.readHeader(); err != nil || h != (shareHeader{}) {
			return true, nil // what is wrong with it Read will say
		}
		return false, r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("legacy: wait for ShareMemory %q: %w", name, segment.Deadline(err))
	}
	return r, nil
}

// Cap is how large a value may be, in bytes, as the header says at this moment. Errors:
// those of Read, but for samepage.ErrChecksum.
func (r *ShareMemoryReader) Cap() (int, error) {
	h, err := r.readHeader()
	if err != nil {
		return 0, r.wrap("room of", err)
	}
	n, err := r.opts.Layout.room(&h, r.mem.Size())
	return n, r.wrap("room of", err)
}

// Read copies the latest value into p, under the read lock, and returns its size; 0
// before the first one.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrTruncated (the first len(p) bytes are there, and the text has the
// value's size); samepage.ErrChecksum, samepage.ErrCorrupt and samepage.ErrVersion, with
// no data; and those of FileLock.RLock.
func (r *ShareMemoryReader) Read(ctx context.Context, p []byte) (n int, err error) {
	err = r.reading(ctx, "read", func(h *shareHeader) error {
		n, err = r.copyTo(p, h)
		return err
	})
	return n, err
}

// copyTo copies what fits of the content, and nothing of one that is not right.
func (r *ShareMemoryReader) copyTo(p []byte, h *shareHeader) (int, error) {
	size := int(h.ContentSize)
	p = p[:min(len(p), size)]
	err := r.check(p, h)
	if err != nil {
		clear(p)
		return 0, err
	}
	if len(p) < size {
		return len(p), fmt.Errorf("value of %d bytes, there is room for %d: %w", size, len(p), samepage.ErrTruncated)
	}
	return size, nil
}

// check copies the first bytes of the content to p, and checks that copy, with the rest.
func (r *ShareMemoryReader) check(p []byte, h *shareHeader) error {
	if len(p) > 0 {
		if _, err := r.mem.ReadAt(p, headSize); err != nil {
			return err
		}
	}
	crc, err := r.sum(h, crc64.Checksum(p, crcTable), len(p))
	if err != nil {
		return err
	}
	if err := checkCRC(h, crc); err != nil {
		return err
	}
	return r.checkTail(h)
}

// Append appends the latest value to dst and returns that; see Read, whose errors it
// has but for samepage.ErrTruncated. With any of them it returns dst as it was.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (r *ShareMemoryReader) Append(ctx context.Context, dst []byte) ([]byte, error) {
	b := dst
	err := r.reading(ctx, "read", func(h *shareHeader) error {
		all := append(dst, make([]byte, h.ContentSize)...)
		if _, err := r.copyTo(all[len(dst):], h); err != nil {
			return err
		}
		b = all
		return nil
	})
	return b, err
}

// View calls f with the latest value in place, under the read lock, after its checksum
// was compared. The bytes must not be written, nor used after f returns; f must not take
// long, for writers wait. A C++ writer that does not lock may change them at any time.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Read but for samepage.ErrTruncated, the error of f, and fs.ErrInvalid
// (no f).
func (r *ShareMemoryReader) View(ctx context.Context, f func(content []byte) error) error {
	if f == nil {
		return r.wrap("view", fmt.Errorf("no function: %w", fs.ErrInvalid))
	}
	return r.reading(ctx, "view", func(h *shareHeader) error {
		v, err := r.whole()
		if err != nil {
			return err
		}
		end := headSize + int(h.ContentSize)
		content := v.Bytes()[headSize:end:end]
		if err := checkCRC(h, crc64.Checksum(content, crcTable)); err != nil {
			return err
		}
		if err := r.checkTail(h); err != nil {
			return err
		}
		return f(content)
	})
}

// whole is the view of everything, which stays until Close. The caller has the lock, so
// that is not now.
func (s *shareMemory) whole() (*samepage.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		v, err := s.mem.View(0, 0, samepage.ReadOnly)
		if err != nil {
			return nil, err
		}
		s.view = v
	}
	return s.view, nil
}
