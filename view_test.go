package samepage_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"runtime"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/internal/sys/process"
	"samepage/layout"
)

func TestMission000_17_PartialViews(t *testing.T) {
	m := unnamed(t, 1<<20+7, nil)
	all := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	for i := range all {
		all[i] = byte(i*31 + i>>8)
	}
	g := int64(sys.Granularity())
	for _, r := range [][2]int64{
		{0, 1},
		{1, 1},
		{g - 1, 2},
		{g, g},
		{g + 1, 3 * g},
		{12_345, 0},
		{1<<20 + 6, 0},
		{1<<20 + 6, 1},
		{0, 1<<20 + 7},
	} {
		for _, a := range []samepage.Access{samepage.ReadWrite, samepage.ReadOnly, samepage.CopyOnWrite} {
			v := must(m.View(r[0], r[1], a))(t)
			n := r[1]
			if n == 0 {
				n = m.Size() - r[0]
			}
			if !bytes.Equal(v.Bytes(), all[r[0]:r[0]+n]) {
				t.Errorf("%v view of %d bytes at %d has other bytes", a, r[1], r[0])
			}
			ipctest.NoErr(t, v.Close())
		}
	}
	_, err := m.View(m.Size(), 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = m.View(0, m.Size()+1, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange, fmt.Sprint(m.Size()), fmt.Sprint(m.Size()+1))
	_, err = m.View(m.Size()+1, 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange)
	_, err = m.View(-1, 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, err = m.View(0, -1, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, err = m.View(1<<62, 1<<62, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange)

	// Writes through a copy-on-write view stay in it.
	v := view(t, m, 0, 10, samepage.CopyOnWrite)
	v.Bytes()[0] ^= 0xff
	if v.Bytes()[0] == all[0] {
		t.Error("a copy-on-write view shows its write to others")
	}
}

func TestMission000_18_ModeMismatch(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 100, nil)
	m := must(samepage.Open("x", &samepage.Options{Access: samepage.ReadOnly}))(t)
	closeLater(t, m)
	_, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only", "read-write")
	_, err = m.WriteAt([]byte("x"), 0)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only")
	v := view(t, m, 0, 0, samepage.ReadOnly)
	_, err = v.WriteAt([]byte("x"), 0)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only")
	view(t, m, 0, 0, samepage.CopyOnWrite).Bytes()[0] = 1
	if v.Bytes()[0] != 0 {
		t.Error("a copy-on-write view of a memory open for reading has written it")
	}
	_, err = samepage.Open("x", &samepage.Options{Access: samepage.CopyOnWrite})
	ipctest.WantErr(t, err, fs.ErrInvalid, "copy-on-write")
}

func TestMission000_21_Alignment(t *testing.T) {
	o := must(sys.CreateUnnamed(&sys.Spec{Size: 1 << 20}))(t)
	defer o.Close()
	_, err := o.Map(4096+1, 100, layout.ReadWrite)
	ipctest.WantErr(t, err, samepage.ErrAlignment, "4097")
	m := unnamed(t, 1<<20, nil) // the library aligns by itself
	view(t, m, 4097, 100, samepage.ReadWrite)
	v := view(t, m, 2, 100, samepage.ReadWrite)
	_, err = v.Uint32(0)
	ipctest.WantErr(t, err, samepage.ErrAlignment)
	must(v.Uint32(2))(t).Store(7)
	_, err = v.Uint64(2)
	ipctest.WantErr(t, err, samepage.ErrAlignment)
	must(v.Uint64(6))(t).Store(1 << 40)
	_, err = v.Uint32(98)
	ipctest.WantErr(t, err, samepage.ErrRange)
}

func TestMission001_07_PartialView(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "ZJ", 1<<20, nil)
	all := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	for i := range all {
		all[i] = byte(i >> 10)
	}
	c := startAgent(t)
	c.Want("ok 1048576", "open ZJ")
	c.Want("ok 65536", "view ro 65536 65536")
	sum := 0
	for i := 64 << 10; i < 128<<10; i += 4096 {
		sum += int(all[i])
	}
	c.Want(fmt.Sprint("ok ", sum), "touch")
}

func TestMission004_02_BigSparse(t *testing.T) {
	m := unnamed(t, 6<<30, &samepage.Options{Sparse: true})
	v := view(t, m, 6<<30-64<<20, 64<<20, samepage.ReadWrite)
	v.Bytes()[64<<20-1] = 'E'
	var b [2]byte
	must(m.ReadAt(b[:], 6<<30-2))(t)
	if b != [2]byte{0, 'E'} {
		t.Errorf("the end of 6 GiB is %q", b)
	}
	if runtime.GOARCH == "386" {
		_, err := m.View(0, 0, samepage.ReadOnly)
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
	}
}

func TestMission004_15_ObjectAndViewAreTwo(t *testing.T) {
	m := unnamed(t, 1<<20, nil)
	if mappedNow() != 0 {
		t.Error("an object is mapped before anybody takes a view")
	}
	a, b := view(t, m, 0, 100, samepage.ReadWrite), view(t, m, 1<<19, 100, samepage.ReadWrite)
	a.Bytes()[0], b.Bytes()[0] = 1, 2
	ipctest.NoErr(t, a.Close())
	if b.Bytes()[0] != 2 {
		t.Error("closing one view has disturbed another")
	}
}

func TestMission004_16_AddressSpaceComesBack(t *testing.T) {
	m := unnamed(t, 256<<20, &samepage.Options{Sparse: true})
	for range 10_000 { // 2.4 TiB in all
		ipctest.NoErr(t, must(m.View(0, 0, samepage.ReadOnly))(t).Close())
	}
	if now := mappedNow(); now != 0 {
		t.Errorf("%d bytes stay mapped", now)
	}
}

func TestMission003_22_OneMapping(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	first := create(t, "BaseImage", 32<<20, nil)
	v := view(t, first, 0, 0, samepage.ReadWrite)
	before := mappedNow()
	h0, m0, err := process.Usage()
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
	if now := mappedNow(); now != before {
		t.Errorf("1000 more opens map %d bytes more", now-before)
	}
	h1, m1, err := process.Usage()
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
