package samepage_test

import (
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

func wantAlone(t *testing.T, m *samepage.Memory, want bool, when string) {
	t.Helper()
	if alone, err := m.Alone(); alone != want || err != nil {
		t.Errorf("%s: alone is %v, %v, want %v", when, alone, err, want)
	}
}

func TestAlone(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, exact := range []bool{false, true} {
		if exact && runtime.GOOS != "windows" {
			continue
		}
		opts, word := &samepage.Options{Exact: exact}, ""
		if exact {
			word = " exact"
		}
		m := create(t, "alone", 4096, opts)
		wantAlone(t, m, true, "made")

		// Another Memory of this process, with the same access and another.
		for _, access := range []samepage.Access{samepage.ReadWrite, samepage.ReadOnly} {
			o := *opts
			o.Access = access
			other := must(samepage.Open("alone", &o))(t)
			wantAlone(t, m, false, "opened again")
			wantAlone(t, other, false, "the other one")
			ipctest.NoErr(t, other.Close())
			wantAlone(t, m, true, "closed again")
		}

		// Another process that closes, and one that is killed.
		c := startAgent(t)
		c.Want("ok 4096", "open alone%s", word)
		wantAlone(t, m, false, "opened by another process")
		c.Want("ok", "close")
		wantAlone(t, m, true, "closed by it")
		c.Want("ok 4096", "open alone%s", word)
		c.Want("ok 4096", "view rw 0 0")
		wantAlone(t, m, false, "opened by it again")
		c.Kill()
		wantAlone(t, m, true, "after its death")

		// Who asks is still present.
		c = startAgent(t)
		c.Want("ok 4096", "open alone%s", word)
		c.Want("ok", "close")
		c.Want("ok 4096", "open alone%s", word)
		wantAlone(t, m, false, "opened once more")
		closeMem(t, m)
		_, err := m.Alone()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		c.Kill()
	}
}

// Those who ask at a time do not take each other for users, or lose their presence.
func TestAloneTogether(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "alone", 4096, nil)
	c := startAgent(t)
	for _, want := range []bool{true, false} {
		if !want {
			c.Want("ok 4096", "open alone")
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if alone, err := m.Alone(); alone != want || err != nil {
						t.Errorf("alone is %v, %v, want %v", alone, err, want)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestAloneUnsupported(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "file")
	file := must(samepage.MapFile(path, 4096, nil))(t)
	defer file.Close()
	all := []*samepage.Memory{file}
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		all = append(all, unnamed(t, 4096, nil))
	}
	if runtime.GOOS == "linux" {
		name := "samepage-alone-" + filepath.Base(filepath.Dir(path))
		all = append(all, create(t, name, 4096, &samepage.Options{Exact: true}))
		t.Cleanup(func() { ipctest.NoErr(t, samepage.Remove(name, &samepage.Options{Exact: true})) })
	}
	for _, m := range all {
		_, err := m.Alone()
		ipctest.WantErr(t, err, errors.ErrUnsupported)
	}
}
