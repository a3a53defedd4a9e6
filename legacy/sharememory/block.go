package sharememory

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"sync"

	"samepage"
	"samepage/internal/forgotten"
)

// block is the common part of writers and readers.
type block struct {
	name    string
	section string
	opts    Options
	lock    *FileLock
	*opened
	guard forgotten.Guard
}

// opened has the objects that a writer or a reader has open.
type opened struct {
	mem *samepage.Memory

	mu   sync.Mutex
	view *samepage.View // of everything; nil until Reader.View needs it
}

// giveBack closes the objects of a writer or reader that nobody refers to any more.
func (b *opened) giveBack() (kept bool) {
	_ = b.close()
	return false
}

func (b *opened) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.view != nil {
		err = b.view.Close()
		b.view = nil
	}
	return errors.Join(err, b.mem.Close())
}

// newBlock returns a block without its memory. With makeDir it makes the folder of the lock
// files if that is missing.
func newBlock(name string, opts *Options, makeDir bool) (*block, error) {
	s := &block{name: name}
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

func (s *block) wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("sharememory: %s block %q: %w", op, s.name, err)
	}
	return nil
}

// Name returns the name of the block.
func (s *block) Name() string { return s.name }

// Close closes the block. The system frees its memory when all readers and writers have closed it
// or have ended. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased while one of its methods holds the lock.
func (s *block) Close() error {
	// Afterwards nobody gets at the content any more.
	if err := s.lock.Close(); err != nil {
		return s.wrap("close", inner(err))
	}
	s.guard.Done()
	return s.wrap("close", s.close())
}

// readHeader copies the header once.
func (s *block) readHeader() (h header, err error) {
	var b [headSize]byte
	if s.mem.Size() < headSize {
		return h, fmt.Errorf("the section has %d bytes, want at least the %d of the header: %w", s.mem.Size(), headSize, samepage.ErrCorrupt)
	}
	if _, err := s.mem.ReadAt(b[:], 0); err != nil {
		return h, err
	}
	return decodeHeader(&b), nil
}

// Len returns the size of the value in bytes, 0 before the first one. It does not take the
// lock: if somebody is writing, it may be the size of either value.
//
// Errors: those of Reader.Read, except samepage.ErrChecksum.
func (s *block) Len() (int, error) {
	h, err := s.readHeader()
	if err != nil {
		return 0, s.wrap("length of", err)
	}
	n, err := s.opts.Layout.size(&h, s.mem.Size())
	return n, s.wrap("length of", err)
}

// reading calls f under the read lock, with a header whose sizes are right.
func (s *block) reading(ctx context.Context, op string, f func(h *header) error) (err error) {
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

// pieces are buffers for content of which only the checksum is wanted.
var pieces = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// sum continues the checksum crc with the content from byte at to its end.
func (s *block) sum(h *header, crc uint64, at int) (uint64, error) {
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

// checkTail checks the byte after the content. Compare the checksum first: a writer that
// was killed before it wrote this byte has written another content.
func (s *block) checkTail(h *header) error {
	if s.opts.Layout.tail() == 0 {
		return nil
	}
	var b [seedTail]byte
	if _, err := s.mem.ReadAt(b[:], int64(headSize)+int64(h.ContentSize)); err != nil {
		return err
	}
	if b[0] != 0 {
		return fmt.Errorf("the byte after the content of %d bytes is %#x, want 0: %w", h.ContentSize, b[0], samepage.ErrCorrupt)
	}
	return nil
}

// open opens the section that exists.
func (s *block) open(a samepage.Access) (*samepage.Memory, error) {
	return samepage.Open(s.section, memoryOptions(a))
}

// checkExists reports whether the block exists, and the folder of its lock files.
func (s *block) checkExists() error {
	m, err := s.open(samepage.ReadOnly)
	if err != nil {
		return err
	}
	return errors.Join(s.lock.checkFolder(), m.Close())
}

// Stat describes a block and its health.
type Stat struct {
	Name     string
	Layout   Layout
	Section  string // the name of the section
	LockFile string // the path of the lock files, without .wlc and .rlc
	Size     int64  // of the section in bytes; on Windows rounded up to a page for all but its maker

	// The fields of the header as they are, even if they are wrong. TailSize has no
	// meaning in layout Head.
	MemorySize, HeadSize, ContentSize, TailSize int32
	CRC                                         uint64

	// The fields below are computed from the header. They are 0 if its sizes cannot be right.
	Cap      int    // the largest value that fits, in bytes
	Computed uint64 // the CRC-64/XZ of the content

	// Problem is nil if the block is not damaged. Otherwise it is the error that Read would return.
	Problem error
}

// Stat describes the block, under the read lock, and changes nothing. A damaged block is not an
// error of Stat: see Stat.Problem. If the call does not have to wait, it ignores ctx.
//
// Errors: those of FileLock.RLock.
func (s *block) Stat(ctx context.Context) (Stat, error) {
	st := Stat{Name: s.name, Layout: s.opts.Layout, Section: s.section, LockFile: s.lock.Name(), Size: s.mem.Size()}
	if err := s.lock.RLock(ctx); err != nil {
		return st, s.wrap("stat", inner(err))
	}
	st.Problem = s.examine(&st)
	return st, s.wrap("stat", inner(s.lock.RUnlock()))
}

func (s *block) examine(st *Stat) error {
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

// whole returns the view of everything, which stays until Close. The caller holds the lock,
// so Close cannot run now.
func (s *block) whole() (*samepage.View, error) {
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

// missing says whether err means that the block does not exist.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
