package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/foxglove/mcap/go/mcap"

	"samepage/internal/sys"
)

// writer writes chunks into files.
type writer struct {
	r     *Recorder
	n     int // number of the file
	out   *os.File
	f     *file
	kept  []*chunk // with Last: what is written at the next trigger
	bytes int64    // of kept
	files []string
}

func (w *writer) run() {
	defer close(w.r.done)
	for q := range w.r.queue {
		if q.trigger != nil {
			file, err := w.triggered()
			q.trigger <- triggered{file, err}
			continue
		}
		<-q.c.ready
		if w.r.o.Last > 0 {
			w.keep(q.c)
			continue
		}
		w.put(q.c)
	}
	if err := w.close(); err != nil {
		w.r.fail(err)
	}
}

// put writes a chunk, into a new file if it is time for one, and frees it.
func (w *writer) put(c *chunk) {
	err := w.r.failure()
	if err == nil && w.full(c) {
		if err = w.close(); err == nil {
			err = w.open()
		}
	}
	if err == nil {
		at := w.f.at
		if err = w.write(c); err == nil {
			sys.WriteBack(w.out, w.f.at, w.f.at-at)
		}
	}
	w.r.mu.Lock()
	w.r.written(c)
	w.r.reuse(c)
	c.drop()
	w.r.mu.Unlock()
	if err != nil {
		w.r.fail(err)
	}
}

// write writes a chunk, and counts its messages.
func (w *writer) write(c *chunk) error {
	if err := w.f.put(c); err != nil {
		return err
	}
	for i, ch := range c.channels {
		if ch.total != nil {
			ch.total.Messages += uint64(len(c.index[i].Entries()))
			ch.total.Bytes += c.bytes[i]
		}
	}
	return nil
}

func (w *writer) full(c *chunk) bool {
	o := &w.r.o
	if w.f.stats.MessageCount == 0 {
		return false
	}
	return o.SplitSize > 0 && w.f.at+uint64(len(c.packed)) > uint64(o.SplitSize) ||
		o.SplitTime > 0 && c.end > w.f.stats.MessageStartTime+uint64(o.SplitTime)
}

// keep keeps a chunk for the next trigger, and drops those that are too old or too many.
func (w *writer) keep(c *chunk) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.written(c)
	raw := w.r.o.Compression == mcap.CompressionNone
	if few := cap(c.b) > 2*len(c.b); few || !raw {
		if raw {
			c.packed = bytes.Clone(c.b) // its buffer is much larger
		}
		w.r.reuse(c)
		c.b = nil
	}
	w.kept = append(w.kept, c)
	w.bytes += int64(len(c.packed))
	for len(w.kept) > 1 && (w.kept[0].end+uint64(w.r.o.Last) < c.end || w.bytes > w.r.o.Buffer) {
		w.forget()
	}
}

// forget drops the oldest chunk that is kept. w.r.mu is locked.
func (w *writer) forget() {
	old := w.kept[0]
	w.kept = slices.Delete(w.kept, 0, 1)
	w.bytes -= int64(len(old.packed))
	if old.b != nil {
		w.r.reuse(old)
	}
	old.drop()
}

// triggered writes what is kept into a new file. What cannot be written is kept for the next one.
func (w *writer) triggered() (file string, err error) {
	if w.r.o.Last == 0 {
		return "", errors.New("this recorder writes all messages, and needs no trigger")
	}
	if err := w.open(); err != nil {
		return "", err
	}
	for len(w.kept) > 0 {
		if err = w.write(w.kept[0]); err != nil {
			break
		}
		w.r.mu.Lock()
		w.forget()
		w.r.mu.Unlock()
	}
	if cerr := w.close(); err == nil {
		err = cerr
	}
	return w.files[len(w.files)-1], err
}

// open begins the next file.
func (w *writer) open() error {
	o := &w.r.o
	for {
		w.n++
		path := o.Path
		several := o.SplitSize > 0 || o.SplitTime > 0 || o.Last > 0
		if several {
			path = fmt.Sprintf(path, w.n)
		}
		out, err := create(path)
		if several && errors.Is(err, fs.ErrExist) {
			continue // an older recording has this number
		}
		if err != nil {
			return err
		}
		f, err := newFile(out, o.Compression, o.Library)
		if err != nil {
			_ = out.Close()
			if st, serr := os.Stat(path); serr == nil && st.Mode().IsRegular() {
				_ = os.Remove(path) // it is no recording
			}
			return err
		}
		w.out, w.f, w.files = out, f, append(w.files, path)
		return nil
	}
}

// create creates a file, or opens one that is no regular file, such as a pipe. It replaces none.
//
// Errors: fs.ErrExist, and those of os.OpenFile.
func create(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if st, serr := os.Stat(path); serr == nil && !st.Mode().IsRegular() {
		return os.OpenFile(path, os.O_WRONLY, 0)
	}
	return nil, fmt.Errorf("%w, and no recording is ever replaced", err)
}

// close ends the file.
func (w *writer) close() error {
	if w.f == nil {
		return nil
	}
	var err error
	whole := int64(w.f.at)
	if w.f.failed { // what is whole gets an end, if the system allows it
		if err = w.out.Truncate(whole); err == nil {
			_, err = w.out.Seek(whole, io.SeekStart)
		}
	}
	if err == nil {
		if err = w.f.end(); err != nil {
			_ = w.out.Truncate(whole) // a part of an end is worth nothing
			err = fmt.Errorf("the recording has no end, which samepage info --repair can make: %w", err)
		}
	}
	if cerr := w.out.Close(); err == nil {
		err = cerr
	}
	w.f = nil
	return err
}
