package starter

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A child's standard error goes to a file if the child may outlive the process that has started it.
// A pipe of that process would break with it, and the child would die at its next line.

// maxFile is the size at which the file of a child is cut to nothing, in bytes.
const maxFile = 1 << 20

// file returns the path of the child's file. The name has a random number, so nobody knows it
// before the file exists. Whatever a record says, the name is one of these.
func (r *record) file() string {
	dir := string(r.Dir[:min(r.DirSize, uint32(len(r.Dir)))])
	return filepath.Join(dir, "samepage-stderr-"+hex.EncodeToString(r.ID[:]))
}

// makeFile makes the file of the child that will be started. All writes to it append.
func (r *record) makeFile() (*os.File, error) {
	dir, err := filepath.Abs(os.TempDir())
	if err != nil {
		return nil, err
	}
	if len(dir) > len(r.Dir) {
		return nil, fmt.Errorf("the directory for temporary files has a name of %d bytes, want at most %d: %w", len(dir), len(r.Dir), fs.ErrInvalid)
	}
	r.DirSize = uint32(copy(r.Dir[:], dir))
	f, err := os.OpenFile(r.file(), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	r.File = err == nil
	return f, err
}

// readFile returns the last bytes of the child's file, and the size of the file. It returns nothing
// if there is no such file, or this process may not read it.
func (r *record) readFile() (last []byte, size int64) {
	if !r.File {
		return nil, 0
	}
	path := r.file()
	// In a directory of all users others could put something here that blocks when it is opened.
	st, err := os.Lstat(path)
	if err != nil || !st.Mode().IsRegular() {
		return nil, 0
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, 0
	}
	last, _ = io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-tailSize), tailSize))
	return last, st.Size()
}

// dropFile removes the child's file. It does not succeed on Windows while a process has the file
// open. Then the next start removes it.
func (r *record) dropFile() {
	if r.File {
		err := os.Remove(r.file())
		r.File = err != nil && !errors.Is(err, fs.ErrNotExist)
	}
}

// keepTail adds the last bytes of the child's file to the record.
func (r *record) keepTail() {
	last, _ := r.readFile()
	r.setTail(append(bytes.Clone(r.tail()), last...))
}

// text returns the last lines of a tail as UTF-8. If the tail is full, its first line may be only
// the end of a line, and is left out.
func text(tail []byte) string {
	if len(tail) == tailSize {
		if i := bytes.IndexByte(tail, '\n'); i >= 0 && i < len(tail)-1 {
			tail = tail[i+1:]
		}
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(tail), "\uFFFD"), "\r\n", "\n")
}

// pipeTail keeps the last bytes of what a child writes, and passes all on.
type pipeTail struct {
	mu   sync.Mutex
	last []byte
	next io.Writer // nil: nowhere
}

func (t *pipeTail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, b...)
	if n := len(t.last) - tailSize; n > 0 {
		t.last = append(t.last[:0], t.last[n:]...)
	}
	t.mu.Unlock()
	if t.next != nil {
		// If nobody takes it any more, the child goes on.
		_, _ = t.next.Write(b)
	}
	return len(b), nil
}

func (t *pipeTail) bytes() []byte {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.last)
}
