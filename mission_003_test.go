package samepage_test

import (
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys"
)

// Tests by the rows of docs/mission.md; this file: seed 003. 003-01 is the
// package's Example, 003-03 is in package ipcsync.

func TestMission003_02_FrameMemory(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const size = 2048 * 4096 * 4
	m := create(t, "BaseImage", size, nil)
	info := must(samepage.Stat("BaseImage", nil))(t)
	if m.Size() != 33_554_432 || info.Size != 33_554_432 || !info.InUse {
		t.Errorf("created %v, Stat tells %+v", m, info)
	}
	if onLinux() && info.Allocated < size {
		t.Errorf("only %d bytes are set aside", info.Allocated)
	}
	view(t, m, 0, 0, samepage.ReadWrite).Bytes()[size-1] = 1
}

func TestMission003_22_OneMapping(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	first := create(t, "BaseImage", 32<<20, nil)
	v := view(t, first, 0, 0, samepage.ReadWrite)
	before := samepage.MappedNow()
	h0, m0, err := sys.Usage()
	ipctest.NoErr(t, err)
	for range 1000 { // of 32 MiB each: 31 GiB, which 386 does not have
		m := must(samepage.Open("BaseImage", nil))(t)
		closeLater(t, m)
		o := view(t, m, 0, 0, samepage.ReadWrite)
		if &o.Bytes()[0] != &v.Bytes()[0] {
			t.Fatal("two views of one object lie at two addresses")
		}
		view(t, m, 100, 1000, samepage.ReadWrite)
	}
	if now := samepage.MappedNow(); now != before {
		t.Errorf("1000 more opens map %d bytes more", now-before)
	}
	h1, m1, err := sys.Usage()
	ipctest.NoErr(t, err)
	if h1 > h0+100 || m1 > m0+50 { // the runtime takes some
		t.Errorf("1000 more opens take %d handles and %d mappings more", h1-h0, m1-m0)
	}
}

func TestMission003_23_WholeView(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 70_001, nil)
	m := must(samepage.Open("x", nil))(t)
	closeLater(t, m)
	if v := view(t, m, 0, 0, samepage.ReadWrite); v.Len() != 70_001 || m.Size() != 70_001 {
		t.Errorf("a whole view has %d bytes of %d, want 70001", v.Len(), m.Size())
	}
}

func TestMission003_24_LongAndUTF8Names(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := startAgent(t)
	for _, name := range []string{
		strings.Repeat("n", 200),
		strings.Repeat("图", 66) + "像",
		"base工程 · кадр · 画像 😀",
		"CON", "nul.txt", "a:b", "a b", ".", "..", "-rf *", "trailing.", "trailing ", "%n\n\"'<>|?",
	} {
		if len(name) > 200 {
			name = name[:len(name)-3]
		}
		m := must(samepage.Create(name, 100, nil))(t)
		must(m.WriteAt([]byte("named"), 0))(t)
		c.Want("ok 100", "open %q", name)
		c.Want(`ok "named"`, "read 0 5")
		c.Want("ok", "close")
		wantNames(t, "memory:"+name)
		closeMem(t, m)
		wantNames(t)
	}
	// Names differ by case on every system.
	create(t, "Case", 1, nil)
	if m := create(t, "case", 2, nil); m.Size() != 2 {
		t.Errorf("case is %v", m)
	}
}
