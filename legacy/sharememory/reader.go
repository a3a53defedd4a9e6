package sharememory

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
)

// Reader reads the latest value of a block, as the C++ class ShareMemoryRead does. All
// methods may be called concurrently. The zero value is not usable.
//
// A Reader checks everything in the block before it uses it. The lock blocks only writers
// that take it. If a writer without the lock damages the value, reading it returns
// samepage.ErrChecksum or samepage.ErrCorrupt until the next Write.
type Reader struct{ block }

// OpenReader opens the block of that name for reading. It does not wait, and makes nothing.
//
// Errors: fs.ErrNotExist, samepage.ErrName, fs.ErrPermission, samepage.ErrKindMismatch, and
// those of NewFileLock, such as samepage.ErrStore if the folder of the lock files does not exist:
// only the program that makes a block makes this folder.
func OpenReader(name string, opts *Options) (*Reader, error) {
	r, err := openReader(name, opts)
	if err != nil {
		return nil, fmt.Errorf("sharememory: open block %q: %w", name, err)
	}
	return r, nil
}

func openReader(name string, opts *Options) (*Reader, error) {
	s, err := newBlock(name, opts, false)
	if err != nil {
		return nil, err
	}
	m, err := s.open(samepage.ReadOnly)
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.lock.checkFolder(); err != nil {
		return nil, errors.Join(err, s.lock.Close(), m.Close())
	}
	r := &Reader{block{name: name, section: s.section, opts: s.opts, lock: s.lock, opened: &opened{mem: m}}}
	r.guard = forgotten.Watch(r, "reader of ShareMemory", name, (*opened).giveBack, r.opened)
	return r, nil
}

// AwaitReader waits until the block of that name exists and has a header, and opens it as
// OpenReader does. If the call does not have to wait, it ignores ctx.
//
// Errors: those of OpenReader except fs.ErrNotExist, and the error of ctx (a deadline also
// matches os.ErrDeadlineExceeded).
func AwaitReader(ctx context.Context, name string, opts *Options) (*Reader, error) {
	var r *Reader
	err := segment.Until(ctx, func() (_ bool, err error) {
		r, err = openReader(name, opts)
		if missing(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if h, err := r.readHeader(); err != nil || h != (header{}) {
			return true, nil // if the header is wrong, Read says so
		}
		return false, r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("sharememory: wait for block %q: %w", name, segment.Deadline(err))
	}
	return r, nil
}

// Cap returns the size of the largest value that fits, in bytes, as the header says now.
//
// Errors: those of Read, except samepage.ErrChecksum.
func (r *Reader) Cap() (int, error) {
	h, err := r.readHeader()
	if err != nil {
		return 0, r.wrap("room of", err)
	}
	n, err := r.opts.Layout.room(&h, r.mem.Size())
	return n, r.wrap("room of", err)
}

// Read copies the latest value into p, under the read lock, and returns its size in bytes: 0
// before the first value. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrTruncated (p has only the first len(p) bytes, and the text says how
// large the value is); samepage.ErrChecksum, samepage.ErrCorrupt and samepage.ErrVersion,
// with no data in p; and those of FileLock.RLock.
func (r *Reader) Read(ctx context.Context, p []byte) (n int, err error) {
	err = r.reading(ctx, "read", func(h *header) error {
		n, err = r.copyTo(p, h)
		return err
	})
	return n, err
}

// copyTo copies as much of the content as fits, or nothing if the content is wrong.
func (r *Reader) copyTo(p []byte, h *header) (int, error) {
	size := int(h.ContentSize)
	p = p[:min(len(p), size)]
	err := r.check(p, h)
	if err != nil {
		clear(p)
		return 0, err
	}
	if len(p) < size {
		return len(p), fmt.Errorf("the value has %d bytes, the buffer has %d: %w", size, len(p), samepage.ErrTruncated)
	}
	return size, nil
}

// check copies the first bytes of the content to p, and checks that copy and the rest.
func (r *Reader) check(p []byte, h *header) error {
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

// Append appends the latest value to dst and returns the result. If there is an error, it returns
// dst unchanged. If the call does not have to wait, it ignores ctx.
//
// Errors: those of Read, except samepage.ErrTruncated.
func (r *Reader) Append(ctx context.Context, dst []byte) ([]byte, error) {
	b := dst
	err := r.reading(ctx, "read", func(h *header) error {
		all := append(dst, make([]byte, h.ContentSize)...)
		if _, err := r.copyTo(all[len(dst):], h); err != nil {
			return err
		}
		b = all
		return nil
	})
	return b, err
}

// View checks the latest value and calls f with it in place, under the read lock. f must not
// change the bytes, and must not use them after it has returned. Writers wait meanwhile, so f
// should be short. A C++ writer that does not lock can change the bytes at any time. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of Read except samepage.ErrTruncated, the error of f, and fs.ErrInvalid (f
// is nil).
func (r *Reader) View(ctx context.Context, f func(content []byte) error) error {
	if f == nil {
		return r.wrap("view", fmt.Errorf("the function is nil: %w", fs.ErrInvalid))
	}
	return r.reading(ctx, "view", func(h *header) error {
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
