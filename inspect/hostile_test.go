package inspect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"samepage"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/layout"
)

// Whatever is in the objects of other processes, a snapshot tells why it cannot read them, and
// tells everything else as it is. Each kind is spoilt in all places that its header protects, and
// at random elsewhere.
func TestSnapshotBesideHostile(t *testing.T) {
	ipctest.NeedNames(t)
	for range ipctest.Repeat(t, 5, 1, "") {
		ipctest.Store(t)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		for _, c := range inspect.MakeEach(t) {
			t.Cleanup(func() { _ = c.Close() })
		}
		good := tell(t, must(inspect.Snapshot(nil)), "o")
		bad := map[string]error{}
		for _, k := range samepage.Kinds() {
			if !inspect.HasMembers(k) {
				continue
			}
			m := must(samepage.Open("o", &samepage.Options{Kind: k}))
			size := m.Size()
			b := make([]byte, min(size, 64<<10))
			must(m.ReadAt(b, 0))
			ipctest.NoErr(t, m.Close())
			plantSized := func(name string, size int64, b []byte, want error) {
				name = fmt.Sprint(name, " ", k)
				p := must(samepage.Create(name, size, &samepage.Options{Kind: k, Sparse: true}))
				t.Cleanup(func() { ipctest.NoErr(t, p.Close()) })
				must(p.WriteAt(b, 0))
				bad[name] = want
			}
			plant := func(name string, b []byte, want error) { plantSized(name, int64(len(b)), b, want) }
			for i, h := range ipctest.BadHeaders {
				spoilt := append([]byte(nil), b...)
				spoilt[h.Offset] ^= 0x40
				plant(fmt.Sprint("header ", i), spoilt, h.Want)
			}
			plant("zeros", make([]byte, len(b)), layout.ErrCorrupt)
			plant("short", b[:layout.SegmentHeaderSize/2], layout.ErrCorrupt)
			plant("cut", b[:layout.SegmentHeaderSize+8], layout.ErrCorrupt)
			junk := make([]byte, 4096)
			for i := range junk {
				junk[i] = byte(rnd.Uint32())
			}
			plant("junk", junk, layout.ErrCorrupt)
			for range 200 { // the header stays, so it may be readable
				b[layout.SegmentHeaderSize+rnd.IntN(len(b)-layout.SegmentHeaderSize)] = byte(rnd.Uint32())
			}
			plantSized("words", size, b, nil)
		}
		first := must(inspect.Snapshot(&inspect.Options{Shares: true}))
		s := must(inspect.Snapshot(nil))
		s.Since(first)
		for _, o := range s.Objects {
			want := bad[o.Name]
			delete(bad, o.Name)
			if want != nil && (!errors.Is(o.Err, want) || o.Detail != nil || len(o.Findings()) != 1 || o.Findings()[0].What != inspect.Unreadable) {
				t.Errorf("%s: %v, want %v; findings %+v", o.Name, o.Err, want, o.Findings())
			}
			if o.Err == nil && o.Detail != nil {
				if _, err := inspect.Of(o.Info); err != nil && !errors.Is(err, layout.ErrCorrupt) {
					t.Errorf("%s: %v", o.Name, err)
				}
			}
		}
		if len(bad) > 0 {
			t.Errorf("a snapshot does not have %v", bad)
		}
		must(json.Marshal(s))
		if now := tell(t, s, "o"); now != good {
			t.Errorf("the good ones: %s\nwant %s", now, good)
		}
		for _, k := range samepage.Kinds() {
			if _, err := inspect.Watch(k, fmt.Sprint("junk ", k), nil); err == nil || errors.Is(err, fs.ErrNotExist) && inspect.HasMembers(k) {
				t.Errorf("%v: watch: %v", k, err)
			}
		}
	}
}

// tell is what a snapshot says about the objects of a name.
func tell(t *testing.T, s *inspect.State, name string) string {
	t.Helper()
	var all []inspect.Object
	for _, o := range s.Objects {
		if o.Name == name {
			o.Rate = nil
			all = append(all, o)
		}
	}
	b, err := json.MarshalIndent(all, "", " ")
	ipctest.NoErr(t, err)
	return string(b)
}
