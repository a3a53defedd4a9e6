package inspect_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
	"samepage/legacy/earseimage"
	"samepage/legacy/sharememory"
	"samepage/legacy/text"
)

// legacyPlace lets a test make sections with the names of existing programs.
func legacyPlace(t *testing.T, name string) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, name)
	if runtime.GOOS == "windows" {
		t.Setenv("SAMEPAGE_DIR", "") // with it a snapshot has no sections of other programs
	}
}

// wantLegacy checks what a snapshot says about a section, in words and as JSON.
func wantLegacy(t *testing.T, section, system string, want ...string) {
	t.Helper()
	isIt := func(i *samepage.Info) bool { return i.Name == section && i.Kind == samepage.KindMemory }
	s := must(inspect.Snapshot(&inspect.Options{Match: isIt}))
	for runtime.GOOS == "windows" && len(s.Objects) == 0 { // the kernel's list can miss one while other tests change it
		s = must(inspect.Snapshot(&inspect.Options{Match: isIt}))
	}
	if len(s.Objects) != 1 {
		t.Fatalf("%d objects have the name %q", len(s.Objects), section)
	}
	o := s.Objects[0]
	if o.Legacy == nil || o.Legacy.System != system || o.Err != nil || o.Exact != (runtime.GOOS == "windows") {
		t.Fatalf("%q: %+v", section, o)
	}
	var j struct{ Text, Legacy string }
	ipctest.NoErr(t, json.Unmarshal(must(json.Marshal(o)), &j))
	for _, w := range want {
		if !strings.Contains(o.Text(), w) || j.Text != o.Text() || j.Legacy != system {
			t.Errorf("%q: %q, in JSON %+v, want %q", section, o.Text(), j, w)
		}
	}
}

// A snapshot tells what the ends of each system have written.
func TestLegacy(t *testing.T) {
	t.Run("BaseImage", func(t *testing.T) {
		legacyPlace(t, "BaseImage")
		s := must(baseimage.CreateSender(nil))
		defer s.Close()
		wantLegacy(t, "BaseImage", "BaseImage", "legacy BaseImage: no picture yet")
		ipctest.NoErr(t, s.Send(bg, image.NewGray(image.Rect(0, 0, 6, 4))))
		wantLegacy(t, "BaseImage", "BaseImage", "picture of 6 x 4, 8 bits a pixel")
	})
	t.Run("EarseImage", func(t *testing.T) {
		legacyPlace(t, "EarseImage")
		r := must(earseimage.CreateRequester(nil))
		defer r.Close()
		wantLegacy(t, "EaresImageSharedMemory", "EarseImage", "no job yet")
	})
	t.Run("Text", func(t *testing.T) {
		legacyPlace(t, text.DefaultName)
		x := must(text.Create("", "", 0))
		defer x.Close()
		wantLegacy(t, "ZJ", "Text", "empty text")
		ipctest.NoErr(t, x.Set("hello"))
		wantLegacy(t, "ZJ", "Text", "text of 5 bytes")
	})
	t.Run("ShareMemory", func(t *testing.T) {
		legacyPlace(t, "ShareMemory")
		for l, section := range map[sharememory.Layout]string{sharememory.Seed: "ShareMemoryMap-inspected", sharememory.Head: "SMM-inspected"} {
			w := must(sharememory.CreateWriter(bg, "inspected", 2<<20, &sharememory.Options{Layout: l, Lock: sharememory.FileLockOptions{Dir: ipctest.Dir(t)}}))
			wantLegacy(t, section, "ShareMemory", "value of 0 bytes, room for 2097152, layout "+l.String()+", checksum right")
			must(w.Write(bg, []byte("value")))
			wantLegacy(t, section, "ShareMemory", "value of 5 bytes", "checksum right")
			m := must(samepage.Open(section, &samepage.Options{Exact: runtime.GOOS == "windows"}))
			must(m.WriteAt([]byte("V"), 32))
			wantLegacy(t, section, "ShareMemory", "value of 5 bytes", "checksum wrong")
			must(w.Write(bg, make([]byte, 1<<20+1)))
			wantLegacy(t, section, "ShareMemory", "value of 1048577 bytes", "checksum not compared")
			must(m.WriteAt(make([]byte, 32), 0))
			wantLegacy(t, section, "ShareMemory", "the header is empty")
			ipctest.NoErr(t, m.Close())
			ipctest.NoErr(t, w.Close())
		}
	})
}

// Whatever is in a section of such a name, a snapshot says what is wrong.
func TestHostileLegacy(t *testing.T) {
	words := func(w ...uint32) []byte {
		var b []byte
		for _, x := range w {
			b = binary.LittleEndian.AppendUint32(b, x)
		}
		return b
	}
	for _, c := range []struct {
		section, alone, system string
		size                   int64
		bytes                  []byte
		want                   string
	}{
		{"BaseImage", "BaseImage", "BaseImage", 4096, words(1<<31, 2, 2, 24), "want 1 to 4080 bytes"},
		{"BaseImage", "BaseImage", "BaseImage", 4096, words(12, 2, 2, 25), "want 8, 16, 24 or 32 bits a pixel"},
		{"BaseImage", "BaseImage", "BaseImage", 4096, words(11, 2, 2, 24), "picture of 2 x 2"}, // marked by a receiver
		{"EaresImageSharedMemory", "EarseImage", "EarseImage", 4096, nil, "want 3145728"},
		{"EaresImageSharedMemory", "EarseImage", "EarseImage", 3145728, bytes.Repeat([]byte{0xff}, 9796), "status -1"},
		{"EaresImageSharedMemory", "EarseImage", "EarseImage", 3145728, append([]byte{'a', 0, 'b', 0}, make([]byte, 9792)...), "the job for ab has no answer yet"},
		{"ZJ", "ZJ", "Text", 8192, bytes.Repeat([]byte{'x'}, 8192), "there is no NUL"},
		{"ZJ", "ZJ", "Text", 1 << 20, bytes.Repeat([]byte{'x'}, 70000), "text of more than 65536 bytes"},
		{"SMM-h", "ShareMemory", "ShareMemory", 4096, words(1<<31, 32, 0, 0), "memory size -2147483648"},
		{"SMM-h", "ShareMemory", "ShareMemory", 4096, words(100, 32, 1<<31-1, 0), "content size 2147483647, want at most 68"},
		{"ShareMemoryMap-h", "ShareMemory", "ShareMemory", 4096, words(100, 32, 4, 2), "tail size 2, want 32 and 1"},
	} {
		t.Run(c.section+" "+c.want, func(t *testing.T) {
			legacyPlace(t, c.alone)
			m := must(samepage.Create(c.section, c.size, &samepage.Options{Exact: runtime.GOOS == "windows"}))
			defer m.Close()
			must(m.WriteAt(c.bytes, 0))
			wantLegacy(t, c.section, c.system, c.want)
		})
	}
}

// A memory of another name is no section of an existing program.
func TestNoLegacy(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, name := range []string{"BaseImage2", "SMM-", "ShareMemoryMap-", "zj"} {
		m := must(samepage.Create(name, 100, nil))
		if s := must(inspect.Snapshot(nil)); len(s.Objects) != 1 || s.Objects[0].Legacy != nil || s.Objects[0].Text() != "" {
			t.Errorf("%q: %+v", name, s.Objects)
		}
		ipctest.NoErr(t, m.Close())
	}
}
