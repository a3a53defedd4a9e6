package sharememory_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

func init() { helpers["share"] = peerProgram }

// place gives the test and its children their own directories for memory and for lock files.
func place(t testing.TB) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, "ShareMemory")
	if s, ok := t.(interface{ Setenv(k, v string) }); ok && runtime.GOOS == "windows" {
		s.Setenv("TMP", ipctest.Dir(t)) // which GetTempPath asks first
	}
}

var layouts = []sharememory.Layout{sharememory.Seed, sharememory.Head}

// eachLayout runs a test for each of the two layouts.
func eachLayout(t *testing.T, f func(t *testing.T, o *sharememory.Options)) {
	for _, l := range layouts {
		t.Run(l.String(), func(t *testing.T) {
			place(t)
			f(t, &sharememory.Options{Layout: l})
		})
	}
}

func newWriter(t testing.TB, size int, o *sharememory.Options) *sharememory.Writer {
	t.Helper()
	w, err := sharememory.CreateWriter(bg, "v", size, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func newReader(t testing.TB, o *sharememory.Options) *sharememory.Reader {
	t.Helper()
	r, err := sharememory.OpenReader("v", o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func write(t testing.TB, w *sharememory.Writer, s string) {
	t.Helper()
	if n, err := w.Write(bg, []byte(s)); n != len(s) || err != nil {
		t.Fatalf("wrote %d bytes of %d: %v", n, len(s), err)
	}
}

func wantValue(t testing.TB, r *sharememory.Reader, want string) {
	t.Helper()
	if b, err := r.Append(bg, nil); string(b) != want || err != nil {
		t.Errorf("value %.60q, %v, want %.60q", b, err, want)
	}
}

// bareOptions returns the options of the memory below, for peers that do not know the header.
func bareOptions() *samepage.Options { return &samepage.Options{Exact: runtime.GOOS == "windows"} }

// sectionOf opens the section, so that a test can damage it.
func sectionOf(t testing.TB, o *sharememory.Options) *samepage.Memory {
	t.Helper()
	m, err := samepage.Open(sectionName(o), bareOptions())
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func sectionName(o *sharememory.Options) string {
	if o.Layout == sharememory.Head {
		return "SMM-v"
	}
	return "ShareMemoryMap-v"
}

func spoil(t testing.TB, m *samepage.Memory, off int64, word uint32) {
	t.Helper()
	_, err := m.WriteAt(binary.LittleEndian.AppendUint32(nil, word), off)
	ipctest.NoErr(t, err)
}

// numberOf returns the number of a value, and false if the value is not whole.
func numberOf(v []byte) (uint32, bool) {
	if len(v) < 8 {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(v)
	return n, string(ipctest.Numbered(n)) == string(v)
}

// values returns how many values a soak test sends. SAMEPAGE_VALUES is for values that cost
// microseconds, but here a value costs ten times as much.
func values(least int) int {
	if v, err := strconv.ParseFloat(os.Getenv("SAMEPAGE_VALUES"), 64); err == nil {
		return max(int(v/10), least)
	}
	return least
}

// peer is a child that writes and reads a block, or takes its lock. Each line of its standard input
// has a command and its arguments, in which _ means a blank.
type peer struct {
	o    sharememory.Options
	name string
	w    *sharememory.Writer
	r    *sharememory.Reader
	lock *sharememory.FileLock
}

func peerProgram(args []string) {
	p := &peer{name: "v"}
	if args[0] == sharememory.Head.String() {
		p.o.Layout = sharememory.Head
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := strings.Fields(in.Text())
		if res, err := p.do(words[0], append(words[1:], "", "")); err != nil {
			fmt.Println("err", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println(strings.TrimSpace("ok " + res))
		}
	}
}

func (p *peer) do(cmd string, args []string) (res string, err error) {
	n, _ := strconv.Atoi(args[0])
	switch cmd {
	case "create": // SIZE
		w, existed, err := sharememory.OpenOrCreateWriter(bg, p.name, n, &p.o)
		if err != nil {
			return "", err
		}
		p.w = w
		return fmt.Sprint(w.Cap(), existed), nil
	case "open":
		p.r, err = sharememory.OpenReader(p.name, &p.o)
	case "await":
		p.r, err = sharememory.AwaitReader(bg, p.name, &p.o)
	case "write": // TEXT
		n, err = p.w.Write(bg, []byte(strings.ReplaceAll(args[0], "_", " ")))
		res = fmt.Sprint(n)
	case "read":
		b, rerr := p.r.Append(bg, nil)
		res, err = string(b), rerr
	case "loop": // N: write so many numbered values
		for i := range n {
			if _, err := p.w.Write(bg, ipctest.Numbered(uint32(i))); err != nil {
				return "", err
			}
		}
		res = fmt.Sprint(n)
	case "fill": // write values of all there is room for, each of one letter, for ever
		fmt.Println("ok")
		for i := 0; err == nil; i++ {
			_, err = p.w.Write(bg, bytes.Repeat([]byte{'a' + byte(i%26)}, p.w.Cap()))
		}
	case "until": // N: read until value N has come, and tell how many were torn, and how many different
		return p.until(uint32(n))
	case "lock":
		p.lock, err = sharememory.NewLock(p.name, &p.o)
	case "hold": // read|write
		if args[0] == "read" {
			return "", p.lock.RLock(bg)
		}
		return "", p.lock.Lock(bg)
	case "release": // read|write
		if args[0] == "read" {
			return "", p.lock.RUnlock()
		}
		return "", p.lock.Unlock()
	case "count": // FILE N: add 1 to the number in it, so many times, and tell of each 500
		m, err := samepage.MapFile(args[0], 4, nil)
		if err != nil {
			return "", err
		}
		times, _ := strconv.Atoi(args[1])
		return "", errors.Join(p.count(m, times), m.Close())
	case "half": // TEXT: half of a value, and the lock is not given back
		m, err := samepage.Open(sectionName(&p.o), bareOptions())
		if err != nil {
			return "", err
		}
		if err := p.lock.Lock(bg); err != nil {
			return "", err
		}
		_, err = m.WriteAt([]byte(args[0])[:len(args[0])/2], 32)
		return "", err
	default:
		err = fmt.Errorf("unknown command %q", cmd)
	}
	return res, err
}

// until checks all values that it reads.
func (p *peer) until(goal uint32) (string, error) {
	torn, different, last := 0, 0, uint32(0)
	var b []byte
	for {
		var err error
		if b, err = p.r.Append(bg, b[:0]); err != nil {
			return "", err
		}
		if len(b) == 0 { // none yet
			continue
		}
		n, ok := numberOf(b)
		if !ok {
			torn++
		} else if n != last {
			different++
			last = n
		}
		if ok && n == goal {
			return fmt.Sprint(torn, different), nil
		}
	}
}

// count adds to a number in another memory, under the lock.
func (p *peer) count(m *samepage.Memory, times int) error {
	var b [4]byte
	for i := range times {
		if i > 0 && i%500 == 0 {
			fmt.Println("at", i)
		}
		if err := p.lock.Lock(bg); err != nil {
			return err
		}
		if _, err := m.ReadAt(b[:], 0); err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(b[:], binary.LittleEndian.Uint32(b[:])+1)
		if _, err := m.WriteAt(b[:], 0); err != nil {
			return err
		}
		if err := p.lock.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

func startPeer(t testing.TB, o *sharememory.Options) *ipctest.Child {
	t.Helper()
	return ipctest.Start(t, "share", o.Layout.String())
}

// gotIn runs get in the background. wait waits for get, and returns how much time was between begin
// and the end of get.
func gotIn(t testing.TB, get func() error) (begin func(), wait func() time.Duration) {
	t.Helper()
	done := make(chan error, 1)
	at := make(chan time.Time, 1)
	go func() {
		err := get()
		at <- time.Now()
		done <- err
	}()
	var begun time.Time
	return func() { begun = time.Now() }, func() time.Duration {
		t.Helper()
		select {
		case err := <-done:
			ipctest.NoErr(t, err)
			return (<-at).Sub(begun)
		case <-time.After(ipctest.Patience):
			t.Fatal("it never came")
		}
		return 0
	}
}
