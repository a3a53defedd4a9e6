package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"os"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// 002-20: the owner dies during a write or after it. The next owner learns of the death, and finds
// out from the checksum of the data which of the two it was.
func TestMission002_20_DataIsJudged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	data, err := samepage.Create("data", recordSize, nil)
	ipctest.NoErr(t, err)
	defer data.Close()
	v, err := data.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	writeRecord(v.Bytes(), 1)
	for i, dies := range []string{"within", "behind", "within"} {
		c := ipctest.Start(t, "record", fmt.Sprint(i+2), dies)
		if l := c.Line(); l != "held" {
			t.Fatal(l)
		}
		c.Kill()
		ipctest.WantErr(t, m.Lock(bg), samepage.ErrOwnerDied)
		if n, whole := readRecord(v.Bytes()); whole != (dies == "behind") || whole && n != uint64(i+2) {
			t.Errorf("after a death %s the write the record is whole: %v, of write %d", dies, whole, n)
		}
		writeRecord(v.Bytes(), 1)
		ipctest.NoErr(t, m.Consistent())
		ipctest.NoErr(t, m.Unlock())
		ipctest.NoErr(t, m.Lock(bg))
		ipctest.NoErr(t, m.Unlock())
	}
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// A record has the number of its write in all words but the last, which is the
// checksum of the others.
func writeRecord(b []byte, n uint64) {
	for i := 0; i < recordSize-8; i += 8 {
		setWord(b, i, n)
	}
	setWord(b, recordSize-8, crc64.Checksum(b[:recordSize-8], crcTable))
}

func readRecord(b []byte) (n uint64, whole bool) {
	return word(b, 0), word(b, recordSize-8) == crc64.Checksum(b[:recordSize-8], crcTable)
}

func recordWriter(args []string) {
	m, err := ipcsync.OpenMutex("m", nil)
	if err == nil {
		err = m.Lock(bg)
	}
	data, derr := samepage.Open("data", nil)
	if err = errors.Join(err, derr); err != nil {
		fmt.Println(err)
		return
	}
	v, err := data.View(0, 0, samepage.ReadWrite)
	if err != nil {
		fmt.Println(err)
		return
	}
	var n uint64
	_, _ = fmt.Sscan(args[0], &n)
	if args[1] == "within" {
		for i := 0; i < recordSize/2; i += 8 {
			setWord(v.Bytes(), i, n)
		}
	} else {
		writeRecord(v.Bytes(), n)
	}
	fmt.Println("held")
	time.Sleep(ipctest.Patience)
}

// 001-14: four processes write a million times under a lock, here an auto-reset event that is set
// from the beginning. No write is torn.
func TestMission001_14_WritesUnderLock(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m, err := samepage.Create("data", recordSize, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	newEvent(t, "lock", &ipcsync.EventOptions{Set: true})
	writes := 1_000_000
	if testing.Short() {
		writes = 20_000
	}
	const processes = 4
	var cs []*ipctest.Child
	for range processes {
		cs = append(cs, ipctest.Start(t, "locker", fmt.Sprint(writes/processes)))
	}
	for _, c := range cs {
		if l := c.Line(); l != "done" {
			t.Error(l)
		}
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	if n, err := check(v.Bytes()); err != nil || n != uint64(writes) {
		t.Errorf("after %d writes the record says %d, %v", writes, n, err)
	}
}

const recordSize = 256

// check reads a record, all of whose words are the number of the write.
func check(b []byte) (uint64, error) {
	first := word(b, 0)
	for i := 8; i < recordSize; i += 8 {
		if w := word(b, i); w != first {
			return 0, fmt.Errorf("torn: word 0 is %d, word %d is %d", first, i/8, w)
		}
	}
	return first, nil
}

func word(b []byte, i int) (w uint64) {
	for k := range 8 {
		w |= uint64(b[i+k]) << (8 * k)
	}
	return w
}

func setWord(b []byte, i int, w uint64) {
	for k := range 8 {
		b[i+k] = byte(w >> (8 * k))
	}
}

func locker(args []string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	var writes int
	_, _ = fmt.Sscan(args[0], &writes)
	m, err := samepage.Open("data", nil)
	if err != nil {
		fail(err)
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		fail(err)
	}
	lock, err := ipcsync.OpenEvent("lock", nil)
	if err != nil {
		fail(err)
	}
	const each = 50 // writes under one lock
	b := v.Bytes()
	for done := 0; done < writes; done += each {
		if err := lock.Wait(context.Background()); err != nil {
			fail(err)
		}
		for range each {
			n, err := check(b)
			if err != nil {
				fail(err)
			}
			for i := 0; i < recordSize; i += 8 {
				setWord(b, i, n+1)
			}
		}
		if err := lock.Set(); err != nil {
			fail(err)
		}
	}
	fmt.Println("done")
}
