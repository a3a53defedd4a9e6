package cell_test

import (
	"io/fs"
	"testing"

	"samepage/cell"
	"samepage/internal/ipctest"
)

func TestInspect(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.Inspect("c", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	w := newWriter(t, "c", 100, &cell.Options{Members: 5, Times: true})
	newReader(t, "c")
	ipctest.NoErr(t, w.Set(bg, []byte("x")))
	l, err := w.Loan(bg, 1)
	ipctest.NoErr(t, err)
	st, err := cell.Inspect("c", nil)
	ipctest.NoErr(t, err)
	if st.Generation != 1 || st.Cap != 100 || st.Type != "bytes" || !st.Times || st.Checksums || st.Room != 5 || len(st.Members) != 2 {
		t.Errorf("%+v", st)
	}
	if a, b := st.Members[0], st.Members[1]; !a.Writer || !a.Writing || !a.Alive || b.Writer || b.Writing || !b.Alive {
		t.Errorf("members %+v", st.Members)
	}
	l.Discard()
	wo, _, err := cell.OpenOrCreateWriterOf[config]("typed", nil)
	ipctest.NoErr(t, err)
	st, err = cell.Inspect("typed", nil)
	ipctest.NoErr(t, err)
	if st.Type != "cell_test.config" || st.Fingerprint == "" || st.Generation != 0 || st.Members[0].Writing {
		t.Errorf("%+v", st)
	}
	ipctest.NoErr(t, wo.Close())
}
