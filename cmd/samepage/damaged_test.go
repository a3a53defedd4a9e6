package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	shared "samepage/internal/object"
	"samepage/internal/segment"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/stream"
)

// persistent creates an object of each kind that stays without users.
var persistent = map[samepage.Kind]func(name string) error{
	samepage.KindMemory: func(name string) error {
		m, err := samepage.Create(name, 5000, &samepage.Options{Lifetime: samepage.Persist})
		return closeMade(m, err)
	},
	samepage.KindEvent: func(name string) error {
		e, err := ipcsync.CreateEvent(name, &ipcsync.EventOptions{Lifetime: samepage.Persist})
		return closeMade(e, err)
	},
	samepage.KindMutex: func(name string) error {
		m, err := ipcsync.CreateMutex(name, &ipcsync.Options{Lifetime: samepage.Persist})
		return closeMade(m, err)
	},
	samepage.KindRWMutex: func(name string) error {
		m, err := ipcsync.CreateRWMutex(name, &ipcsync.Options{Lifetime: samepage.Persist})
		return closeMade(m, err)
	},
	samepage.KindSemaphore: func(name string) error {
		s, err := ipcsync.CreateSemaphore(name, 1, 1, &ipcsync.Options{Lifetime: samepage.Persist})
		return closeMade(s, err)
	},
	samepage.KindTopic: func(name string) error {
		p, _, err := pubsub.OpenOrCreatePublisher(name, &pubsub.Options{Lifetime: samepage.Persist, MaxSize: 16})
		return closeMade(p, err)
	},
	samepage.KindListener: func(name string) error { // which never persists, as package stream makes it
		s := segment.Spec{Kind: layout.Listener, Live: make([]byte, layout.ListenerLive(1)), Payload: 2 * layout.MinConnRing}
		o, err := s.Create(&shared.Spec{Name: name, Lifetime: layout.Persist})
		if err == nil {
			err = o.Release()
		}
		return err
	},
	samepage.KindCell: func(name string) error {
		w, _, err := cell.OpenOrCreateWriter(name, 16, &cell.Options{Lifetime: samepage.Persist})
		return closeMade(w, err)
	},
}

func closeMade[T interface{ Close() error }](v T, err error) error {
	if err == nil {
		err = v.Close()
	}
	return err
}

// opens opens an object of each kind that has a header, and looks at it.
var opens = map[samepage.Kind]map[string]func(name string) error{
	samepage.KindEvent: {
		"OpenEvent": func(n string) error { return closeMade(ipcsync.OpenEvent(n, nil)) },
		"OpenOrCreateEvent": func(n string) error {
			e, _, err := ipcsync.OpenOrCreateEvent(n, nil)
			return closeMade(e, err)
		},
		"Inspect": func(n string) error { _, err := ipcsync.InspectEvent(n, nil); return err },
	},
	samepage.KindMutex: {
		"OpenMutex": func(n string) error { return closeMade(ipcsync.OpenMutex(n, nil)) },
		"Inspect":   func(n string) error { _, err := ipcsync.InspectMutex(n, nil); return err },
	},
	samepage.KindRWMutex: {
		"OpenRWMutex": func(n string) error { return closeMade(ipcsync.OpenRWMutex(n, nil)) },
		"Inspect":     func(n string) error { _, err := ipcsync.InspectRWMutex(n, nil); return err },
	},
	samepage.KindSemaphore: {
		"OpenSemaphore": func(n string) error { return closeMade(ipcsync.OpenSemaphore(n, nil)) },
		"Inspect":       func(n string) error { _, err := ipcsync.InspectSemaphore(n, nil); return err },
	},
	samepage.KindTopic: {
		"OpenPublisher":  func(n string) error { return closeMade(pubsub.OpenPublisher(n, nil)) },
		"OpenSubscriber": func(n string) error { return closeMade(pubsub.OpenSubscriber(n, nil)) },
		"Inspect":        func(n string) error { _, err := pubsub.Inspect(n, nil); return err },
	},
	samepage.KindListener: {
		"Dial": func(n string) error {
			c, err := stream.Dial(context.Background(), n, nil)
			if errors.Is(err, samepage.ErrPeerNotStarted) {
				return nil // nobody listens at it
			}
			return closeMade(c, err)
		},
		"Listen":  func(n string) error { return closeMade(stream.Listen(n, nil)) },
		"Inspect": func(n string) error { _, err := stream.Inspect(n, nil); return err },
	},
	samepage.KindCell: {
		"OpenWriter": func(n string) error { return closeMade(cell.OpenWriter(n, nil)) },
		"OpenReader": func(n string) error { return closeMade(cell.OpenReader(n, nil)) },
		"Inspect":    func(n string) error { _, err := cell.Inspect(n, nil); return err },
	},
}

// samepageIn runs samepage in this process.
func samepageIn(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader("text\n"), &out, &errs)
	return code, out.String(), errs.String()
}

// flip flips a bit of the byte at off of the bytes of an object.
func flip(t *testing.T, k samepage.Kind, name string, off int64) {
	t.Helper()
	m, err := samepage.Open(name, &samepage.Options{Kind: k})
	ipctest.NoErr(t, err)
	defer m.Close()
	var b [1]byte
	_, err = m.ReadAt(b[:], off)
	ipctest.NoErr(t, err)
	b[0] ^= 0x40
	_, err = m.WriteAt(b[:], off)
	ipctest.NoErr(t, err)
}

// commandsOn are the commands that open an object of a kind.
func commandsOn(k samepage.Kind, name string) [][]string {
	all := [][]string{{"stat", name}, {"stat", "--json", name}, {"stat", "--kind", k.String(), name}}
	switch k {
	case samepage.KindMemory:
		all = append(all, []string{"cat", name}, []string{"put", name})
	case samepage.KindEvent:
		all = append(all, []string{"event", "set", name}, []string{"event", "reset", name}, []string{"event", "wait", name, "--timeout", "0"})
	case samepage.KindTopic:
		all = append(all, []string{"pub", name, "--wait", "0"}, []string{"sub", name}, []string{"hz", name})
	case samepage.KindCell:
		all = append(all, []string{"cell", "get", name}, []string{"cell", "put", name, "v"}, []string{"cell", "watch", name})
	}
	return all
}

// wantDamaged checks that every command says that the object is damaged, and how to repair
// it, and that this command repairs it.
func wantDamaged(t *testing.T, k samepage.Kind, name string) {
	t.Helper()
	mend := "samepage rm --kind " + k.String() + " " + name
	for _, c := range commandsOn(k, name) {
		if code, _, text := samepageIn(c...); code != exitFailed || !strings.Contains(text, "corrupt") || !strings.Contains(text, mend) {
			t.Errorf("samepage %q: code %d, %s", c, code, text)
		}
	}
	code, out, text := samepageIn("ls")
	if code != exitFailed || !strings.Contains(text, mend) || !strings.Contains(out, name+" ") || !strings.Contains(out, " ? ") {
		t.Errorf("ls: code %d, %s%s", code, out, text)
	}
	code, out, text = samepageIn("ls", "--json")
	var infos []map[string]any
	if err := json.Unmarshal([]byte(out), &infos); err != nil || code != exitFailed || len(infos) != 1 {
		t.Fatalf("ls --json: code %d, %v, %s%s", code, err, out, text)
	}
	if use, there := infos[0]["in_use"]; use != nil || !there || !strings.Contains(fmt.Sprint(infos[0]["error"]), "corrupt") {
		t.Errorf("ls --json: %s", out)
	}
	if code, out, _ := samepageIn("doctor"); code != exitFailed || !strings.Contains(out, "repair: "+mend+"\n") {
		t.Errorf("doctor: code %d, %s", code, out)
	}
	if code, out, text := samepageIn(strings.Fields(strings.TrimPrefix(mend, "samepage "))...); code != 0 {
		t.Errorf("%s: code %d, %s%s", mend, code, out, text)
	}
	if code, _, text := samepageIn("stat", name); code != 3 {
		t.Errorf("stat after that: code %d, %s", code, text)
	}
}

// If any byte of a header is damaged, everything that looks at the object reports ErrCorrupt,
// and never another kind of object or none. A damaged byte of MinReader makes it an object of a
// later version.
func TestDamagedHeader(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	t.Setenv("SAMEPAGE_DIR", store)
	t.Cleanup(func() {
		// On Windows the bytes of what was removed lie in a file, which stays for as long
		// as a handle that was collected not yet has it mapped.
		for left := 1; left > 0; {
			runtime.GC()
			_, err := samepage.List()
			ipctest.NoErr(t, err)
			files, err := filepath.Glob(filepath.Join(store, "*", "*.dat"))
			ipctest.NoErr(t, err)
			left = len(files)
		}
	})
	for k, open := range opens {
		t.Run(k.String(), func(t *testing.T) {
			ipctest.NoErr(t, persistent[k]("x"))
			for off := range int64(layout.SegmentHeaderSize) {
				if runtime.GOOS == "windows" && off%64 != 12 && off%64 != 0 {
					continue // what reads the header is the same on Linux
				}
				want := samepage.ErrCorrupt
				if off >= 12 && off < 16 {
					want = samepage.ErrVersion
				}
				flip(t, k, "x", off)
				for name, f := range open {
					if err := f("x"); !errors.Is(err, want) || errors.Is(err, samepage.ErrKindMismatch) || errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s with byte %d flipped: %v", name, off, err)
					}
				}
				flip(t, k, "x", off)
			}
			// stat reads it as Inspect does.
			for off := int64(0); off < layout.SegmentHeaderSize && runtime.GOOS != "windows"; off += 12 {
				flip(t, k, "x", off)
				if code, _, text := samepageIn("stat", "x"); code != exitFailed {
					t.Errorf("stat with byte %d flipped: code %d, %s", off, code, text)
				}
				flip(t, k, "x", off)
			}
			for _, f := range open {
				ipctest.NoErr(t, f("x"))
			}
			for _, off := range []int64{0, 8, 20, 32, 124, 200}[:ipctest.Repeat(t, 6, 2, "")] {
				flip(t, k, "x", off)
				wantDamaged(t, k, "x")
				ipctest.NoErr(t, persistent[k]("x"))
			}
			if k == samepage.KindTopic || k == samepage.KindCell { // how the lanes lie is a header, too
				flip(t, k, "x", layout.SegmentHeaderSize+layout.LaneConfigOffset)
				wantDamaged(t, k, "x")
				return
			}
			ipctest.NoErr(t, samepage.Remove("x", &samepage.Options{Kind: k}))
		})
	}
}

// A damaged record is ErrCorrupt, too. On Windows a record stands for the bytes of an object of
// any kind, on Linux for objects that lie over a file.
func TestDamagedRecord(t *testing.T) {
	ipctest.NeedNames(t)
	t.Setenv("SAMEPAGE_DIR", ipctest.Store(t))
	file := filepath.Join(ipctest.Dir(t), "file")
	mem := func() error {
		m, err := samepage.Create("x", 5000, &samepage.Options{Lifetime: samepage.Persist, File: file})
		return closeMade(m, err)
	}
	ipctest.NoErr(t, mem())
	i, err := samepage.Stat("x", nil)
	ipctest.NoErr(t, err)
	good, err := os.ReadFile(i.Path)
	ipctest.NoErr(t, err)
	spoil := func(off int) {
		b := bytes.Clone(good)
		b[off] ^= 0x40
		f, err := os.OpenFile(i.Path, os.O_WRONLY, 0)
		ipctest.NoErr(t, err)
		_, err = f.Write(b)
		ipctest.NoErr(t, errors.Join(err, f.Close()))
	}
	for off := range layout.RecordHead + 1 { // and the name
		spoil(off)
		want := samepage.ErrCorrupt
		if off >= 8 && off < 12 {
			want = samepage.ErrVersion
		}
		_, err := samepage.Open("x", nil)
		_, serr := samepage.Stat("x", nil)
		for _, err := range []error{err, serr} {
			if !errors.Is(err, want) || errors.Is(err, samepage.ErrKindMismatch) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("byte %d flipped: %v", off, err)
			}
		}
		if code, _, text := samepageIn("stat", "x"); code != exitFailed {
			t.Errorf("stat with byte %d flipped: code %d, %s", off, code, text)
		}
	}
	for _, off := range []int{0, 12, 20, 32, 124} {
		spoil(off)
		wantDamaged(t, samepage.KindMemory, "x")
		ipctest.NoErr(t, mem())
		good, err = os.ReadFile(i.Path)
		ipctest.NoErr(t, err)
	}
}
