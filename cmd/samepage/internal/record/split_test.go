package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/internal/ipctest"
)

// putter makes a Recorder, and a function that gives it a message of so many bytes, which has its
// number, and waits until it is sealed if flush is set.
func putter(t *testing.T, o Options) (r *Recorder, put func(size int, flush bool)) {
	t.Helper()
	o.Buffer = max(o.Buffer, 1<<20)
	r, err := New(o)
	ipctest.NoErr(t, err)
	ch := &channel{topic: "t", encoding: encodingBytes}
	ipctest.NoErr(t, r.register(ch, &mcap.Schema{Name: "s", Encoding: "x"}))
	n := uint64(0)
	return r, func(size int, flush bool) {
		n++
		r.last.Add(10) // log times differ by more than 1, also if the clock has long steps
		ipctest.NoErr(t, r.put(ch, n, time.Time{}, binary.LittleEndian.AppendUint64(nil, n), make([]byte, size)))
		if flush {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.cur != nil {
				r.sealLocked()
			}
		}
	}
}

// numbers reads which messages are in a whole file.
func numbers(t *testing.T, path string) (all []int) {
	t.Helper()
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	if f.Lost != nil {
		t.Errorf("%s: %v", path, f.Lost)
	}
	next, err := f.Messages(0, math.MaxInt64, Forward, func(*mcap.Channel) bool { return true })
	ipctest.NoErr(t, err)
	for m, err := next(); err == nil; m, err = next() {
		all = append(all, int(binary.LittleEndian.Uint64(m.Data)))
		if m.Schema == nil || m.Channel.Topic != "t" {
			t.Errorf("%s: message %d has topic %q and schema %v", path, all[len(all)-1], m.Channel.Topic, m.Schema)
		}
	}
	return all
}

func closeRecorder(t *testing.T, r *Recorder) (files []string) {
	t.Helper()
	_, files, err := r.Close()
	ipctest.NoErr(t, err)
	return files
}

// A recording in several files: each is whole, and none has more than was asked for. Numbers of
// files that exist are left out.
func TestSplit(t *testing.T) {
	dir := ipctest.Dir(t)
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "2.mcap"), []byte("older"), 0o600))
	r, put := putter(t, Options{Path: filepath.Join(dir, "%d.mcap"), SplitSize: 1 << 20})
	for range 10 {
		put(300<<10, false) // a chunk of its own
	}
	files := closeRecorder(t, r)
	var got [][]int
	for _, f := range files {
		got = append(got, numbers(t, f))
		if st, err := os.Stat(f); err != nil || st.Size() > 1<<20+4096 { // the end comes after that
			t.Errorf("%s: %v, %v", f, st.Size(), err)
		}
	}
	if s := fmt.Sprint(got); s != "[[1 2 3] [4 5 6] [7 8 9] [10]]" || filepath.Base(files[1]) != "3.mcap" {
		t.Errorf("%s in %q", s, files)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "2.mcap")); err != nil || string(b) != "older" {
		t.Errorf("the older file has %q, %v", b, err)
	}

	r, put = putter(t, Options{Path: filepath.Join(dir, "t%d.mcap"), SplitTime: 1})
	put(8, false)
	put(8, true)
	put(8, true)
	put(8, true)
	got = nil
	for _, f := range closeRecorder(t, r) {
		got = append(got, numbers(t, f))
	}
	if s := fmt.Sprint(got); s != "[[1 2] [3] [4]]" {
		t.Error(s)
	}

	r, put = putter(t, Options{Path: filepath.Join(dir, "h%d.mcap"), SplitTime: time.Hour})
	put(8, true)
	put(8, true)
	if files := closeRecorder(t, r); len(files) != 1 || !slices.Equal(numbers(t, files[0]), []int{1, 2}) {
		t.Errorf("%q", files)
	}
}

// With Last only the latest messages are kept, as many as Buffer has room for.
func TestLast(t *testing.T) {
	for _, how := range []Compression{mcap.CompressionNone, mcap.CompressionZSTD} {
		dir := ipctest.Dir(t)
		o := Options{Path: filepath.Join(dir, "%d.mcap"), Last: time.Hour, Compression: how}
		r, put := putter(t, o)
		trigger := func(r *Recorder) []int {
			file, err := r.Trigger(t.Context())
			ipctest.NoErr(t, err)
			return numbers(t, file)
		}
		for range 3 {
			put(8, true)
		}
		if got := trigger(r); !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("%q: %v", how, got)
		}
		put(8, false) // what was written is not written again
		if got := trigger(r); !slices.Equal(got, []int{4}) {
			t.Errorf("%q: %v", how, got)
		}
		for range 10 {
			put(300<<10, false)
		}
		got := trigger(r)
		if want := []int{12, 13, 14}; how == mcap.CompressionNone && !slices.Equal(got, want) || !slices.Equal(got[len(got)-3:], want) {
			t.Errorf("%q: %v", how, got)
		}
		put(8, true)
		if files := closeRecorder(t, r); len(files) != 3 {
			t.Errorf("%q: %q", how, files)
		}

		o.Path, o.Last = filepath.Join(dir, "short%d.mcap"), 1
		r, put = putter(t, o)
		for range 3 {
			put(8, true)
		}
		if got := trigger(r); !slices.Equal(got, []int{3}) {
			t.Errorf("%q: %v", how, got)
		}
		closeRecorder(t, r)
	}
}

// A recorder that keeps few messages for long does not keep large buffers for them.
func TestLastOfFew(t *testing.T) {
	r, put := putter(t, Options{Path: filepath.Join(ipctest.Dir(t), "%d.mcap"), Last: time.Hour})
	for range 50 {
		put(8, true)
	}
	closeRecorder(t, r)
	kept := 0
	for _, c := range r.w.kept {
		kept += cap(c.b) + cap(c.packed)
	}
	if len(r.w.kept) != 50 || kept > 50*1024 {
		t.Errorf("%d chunks have %d bytes", len(r.w.kept), kept)
	}
}

// A recording is not replaced by another one.
func TestExists(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "1.mcap")
	r, put := putter(t, Options{Path: path})
	put(8, false)
	closeRecorder(t, r)
	_, err := New(Options{Path: path, Buffer: 1 << 20})
	ipctest.WantErr(t, err, fs.ErrExist)
	if got := numbers(t, path); !slices.Equal(got, []int{1}) {
		t.Error(got)
	}
	r, err = New(Options{Path: os.DevNull, Buffer: 1 << 20})
	ipctest.NoErr(t, err)
	closeRecorder(t, r)
}

// Messages wait while Buffer bytes wait for the disk, and all are written.
func TestBuffer(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "1.mcap")
	r, put := putter(t, Options{Path: path, Buffer: 1})
	for i := range 40 {
		put(i%2*(300<<10), i%3 == 0)
	}
	closeRecorder(t, r)
	if got := numbers(t, path); len(got) != 40 || got[39] != 40 {
		t.Error(got)
	}
	if r.used != 0 {
		t.Errorf("%d bytes are in use at the end", r.used)
	}
}

// fullDisk begins a recording on a disk of 2 MiB. take records a message of 300 KiB, or of fewer
// bytes.
func fullDisk(t *testing.T, o Options) (r *Recorder, dir string, take func(size int) error) {
	t.Helper()
	if err := ipctest.SmallStore(t, "size=2m"); err != nil {
		t.Skip(err)
	}
	dir = os.Getenv("SAMEPAGE_DIR")
	o.Path, o.Buffer = filepath.Join(dir, o.Path), 64<<20
	r, err := New(o)
	ipctest.NoErr(t, err)
	x := r.taker(samepage.Local, "t", samepage.KindTopic)
	x.object(Source{Kind: samepage.KindTopic})
	n := uint64(0)
	return r, dir, func(size int) error {
		n++
		return x.put(0, n, time.Time{}, append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, size-8)...))
	}
}

// counted reads which messages are in a recording, and compares them with the counts of its end.
func counted(t *testing.T, path string) []int {
	t.Helper()
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	all, err := read(t, f, Forward)
	ipctest.NoErr(t, err)
	var got []int
	for _, m := range all {
		got = append(got, int(binary.LittleEndian.Uint64([]byte(m))))
	}
	if n := f.info.Statistics.MessageCount; int(n) != len(got) {
		t.Errorf("the end counts %d messages, there are %d", n, len(got))
	}
	return got
}

// When the disk is full, what is whole is a whole recording, and nobody waits for the recorder. The
// total has what is in the file, and what was taken in vain.
func TestDiskFull(t *testing.T) {
	r, dir, take := fullDisk(t, Options{Path: "1.mcap"})
	taken := uint64(0)
	var err error
	for err == nil {
		taken++
		err = take(300 << 10)
	}
	<-r.Failed()
	totals, files, cerr := r.Close()
	ipctest.WantErr(t, cerr, syscall.ENOSPC)
	if len(files) != 1 || err.Error() != cerr.Error() {
		t.Errorf("%q, %v, %v", files, err, cerr)
	}
	if got := counted(t, filepath.Join(dir, "1.mcap")); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6}) { // 6 of 300 KiB are in 2 MiB
		t.Error(got)
	}
	if x := totals[0]; x.Messages != 6 || x.Bytes != 6*300<<10 || x.Lost != taken-6 {
		t.Errorf("%+v, %d were taken", x, taken)
	}
}

// If the disk is so full that the end of a recording has no place, all its messages are read
// without.
func TestDiskFullAtEnd(t *testing.T) {
	r, dir, take := fullDisk(t, Options{Path: "1.mcap"})
	for range 3 {
		ipctest.NoErr(t, take(300<<10))
	}
	for written := false; !written; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		written = r.used == 0
		r.mu.Unlock()
	}
	other, err := os.Create(filepath.Join(dir, "other"))
	ipctest.NoErr(t, err)
	for _, size := range []int{1 << 16, 1} {
		for err = nil; err == nil; _, err = other.Write(make([]byte, size)) {
		}
	}
	ipctest.WantErr(t, err, syscall.ENOSPC)
	// The last page of the recording may have room for a part of the end, so the end is long.
	r.w.f.contents.schemas = append(r.w.f.contents.schemas, &mcap.Schema{ID: 9, Name: "long", Encoding: "x", Data: make([]byte, 8192)})
	totals, _, cerr := r.Close()
	ipctest.WantErr(t, cerr, syscall.ENOSPC)
	if x := totals[0]; x.Messages != 3 || x.Lost != 0 {
		t.Errorf("%+v", x)
	}
	path := filepath.Join(dir, "1.mcap")
	if got := counted(t, path); !slices.Equal(got, []int{1, 2, 3}) {
		t.Error(got)
	}
	f, err := Open(path)
	ipctest.NoErr(t, err)
	if f.Lost == nil || f.Whole != f.Size {
		t.Errorf("lost: %v, %d bytes of %d", f.Lost, f.Whole, f.Size)
	}
	ipctest.NoErr(t, errors.Join(f.Close(), other.Close()))
}

// What a trigger cannot write is written by the next one.
func TestDiskFullAtTrigger(t *testing.T) {
	r, dir, take := fullDisk(t, Options{Path: "%d.mcap", Last: time.Hour})
	for range 10 {
		ipctest.NoErr(t, take(300<<10))
	}
	file, err := r.Trigger(t.Context())
	ipctest.WantErr(t, err, syscall.ENOSPC)
	if got := counted(t, file); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6}) {
		t.Error(got)
	}
	ipctest.NoErr(t, os.Remove(file))
	file, err = r.Trigger(t.Context())
	ipctest.NoErr(t, err)
	if got := counted(t, file); !slices.Equal(got, []int{7, 8, 9, 10}) || filepath.Dir(file) != dir {
		t.Errorf("%s: %v", file, got)
	}
	ipctest.NoErr(t, take(8))
	totals, _, err := r.Close()
	ipctest.NoErr(t, err)
	if x := totals[0]; x.Messages != 10 || x.Bytes != 10*300<<10 || x.Lost != 0 {
		t.Errorf("%+v", x)
	}
}
