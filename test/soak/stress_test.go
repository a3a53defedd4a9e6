package soak

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
)

// Four processes create, open, remove and clean two names at random, and are
// killed at random; what each sees must agree with docs/protocol/names.md.

func init() { helpers["stress"] = stress }

const stressMagic = 0x1234567890abcdef

// stress prints a line for each thing that is not as it should be.
func stress([]string) {
	fmt.Println("ready")
	for n := uint64(0); ; n++ {
		name := fmt.Sprint("n", rand.IntN(2))
		var err error
		switch rand.IntN(8) {
		case 0, 1, 2:
			err = stressCreate(name, n)
		case 3, 4, 5:
			err = stressOpen(name)
		case 6:
			err = except(samepage.Remove(name, nil), fs.ErrNotExist, samepage.ErrBusy)
		case 7:
			if _, lerr := samepage.List(); lerr != nil {
				err = lerr
				break
			}
			var left []samepage.Leftover
			look := samepage.Clean
			if rand.IntN(2) == 0 {
				look = samepage.Leftovers
			}
			left, err = look()
			for _, l := range left {
				err = errors.Join(err, l.Err)
			}
		}
		if err != nil {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
}

func except(err error, fine ...error) error {
	if slices.ContainsFunc(fine, func(f error) bool { return errors.Is(err, f) }) {
		return nil
	}
	return err
}

// stressCreate makes an object and sees that it is its own, the only one of the
// name, and cannot be removed.
func stressCreate(name string, n uint64) error {
	size := int64(4096 + rand.IntN(3)*4096)
	first := make([]byte, 24)
	binary.LittleEndian.PutUint64(first, stressMagic)
	binary.LittleEndian.PutUint64(first[8:], uint64(os.Getpid())<<32|n)
	binary.LittleEndian.PutUint64(first[16:], uint64(size))
	m, err := samepage.Create(name, size, &samepage.Options{Init: first, Lifetime: samepage.Lifetime(rand.IntN(4) / 3)})
	if err != nil {
		return except(err, fs.ErrExist)
	}
	var b [24]byte
	if _, err := m.ReadAt(b[:], 0); err != nil || string(b[:]) != string(first) {
		return fmt.Errorf("own object begins with %x, %v, want %x", b, err, first)
	}
	if i, err := samepage.Stat(name, nil); err != nil || i.ID != m.ID() || !i.InUse {
		return fmt.Errorf("Stat of an own object is %+v, %v", i, err)
	}
	if _, err := samepage.Create(name, size, nil); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("second creation: %v", err)
	}
	if err := samepage.Remove(name, nil); !errors.Is(err, samepage.ErrBusy) {
		return fmt.Errorf("removal of an object in use: %v", err)
	}
	return m.Close()
}

// stressOpen sees that what it opens is whole, and what the name stands for.
func stressOpen(name string) error {
	m, err := samepage.Open(name, nil)
	if err != nil {
		return except(err, fs.ErrNotExist)
	}
	var b [24]byte
	if _, err := m.ReadAt(b[:], 0); err != nil || binary.LittleEndian.Uint64(b[:]) != stressMagic ||
		int64(binary.LittleEndian.Uint64(b[16:])) != m.Size() {
		return fmt.Errorf("an object of %d bytes begins with %x, %v", m.Size(), b, err)
	}
	if i, err := samepage.Stat(name, nil); err != nil || i.ID != m.ID() || !i.InUse {
		return fmt.Errorf("Stat of an open object is %+v, %v, want %v", i, err, m.ID())
	}
	return m.Close()
}

func TestStress(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	length := 4 * time.Second
	if testing.Short() {
		length = time.Second
	}
	kills := 0
	for end := time.Now().Add(length); time.Now().Before(end); {
		var cs []*ipctest.Child
		for range 4 {
			cs = append(cs, ipctest.Start(t, "stress"))
		}
		for _, c := range cs {
			if l := c.Line(); l != "ready" {
				t.Fatal(l)
			}
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		for _, c := range cs {
			for _, l := range c.KillAndRead() {
				t.Error(l)
			}
			kills++
		}
		if t.Failed() {
			break
		}
		for _, l := range must(samepage.Clean())(t) {
			ipctest.NoErr(t, l.Err)
		}
		for _, n := range []string{"n0", "n1"} {
			ipctest.NoErr(t, except(samepage.Remove(n, nil), fs.ErrNotExist))
		}
		ipctest.NoErr(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				t.Errorf("%s is left", p)
			}
			return err
		}))
	}
	t.Logf("%d kills", kills)
}
