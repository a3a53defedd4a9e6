//go:build linux || windows

package samepage_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"samepage"
	"samepage/ipcsync"
)

// Two processes share a picture in four steps. Here both run in one process; with two processes
// the code is the same. (Row 003-01 of docs/mission/samepage.md.)
func Example() {
	// 1. One process creates a memory and an event.
	base, err := samepage.Create("picture", 1<<20, nil)
	check(err)
	ready, err := ipcsync.CreateEvent("picture", nil)
	check(err)
	// 2. The other process opens them by name, and maps the part that it needs.
	m, err := samepage.Open("picture", &samepage.Options{Access: samepage.ReadOnly})
	check(err)
	picture, err := m.View(0, 0, samepage.ReadOnly) // any offset; length 0: to the end
	check(err)
	arrived, err := ipcsync.OpenEvent("picture", nil)
	check(err)
	// 3. The first process writes and sets the event. The other sleeps until then and reads in place.
	canvas, err := base.View(0, 0, samepage.ReadWrite)
	check(err)
	copy(canvas.Bytes(), "a sunset")
	check(ready.Set())
	check(arrived.Wait(context.Background()))
	fmt.Printf("%s\n", picture.Bytes()[:8])
	// 4. Clean up. If the last user of a name is killed, the name stops existing, too.
	check(errors.Join(canvas.Close(), picture.Close(), base.Close(), m.Close(), ready.Close(), arrived.Close()))
	// Output: a sunset
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleMemory() {
	m, err := samepage.Create("numbers", 4096, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	_, _ = m.WriteAt([]byte("forty-two"), 100)

	same, err := samepage.Open("numbers", nil) // here or in another process
	if err != nil {
		log.Fatal(err)
	}
	defer same.Close()
	b := make([]byte, 9)
	_, _ = same.ReadAt(b, 100)
	fmt.Println(same)
	fmt.Println(string(b))
	// Output:
	// memory "numbers", 4096 bytes, read-write
	// forty-two
}

func ExampleView() {
	m, err := samepage.CreateUnnamed(1<<20, nil)
	if err != nil {
		log.Fatal(err)
	}
	v, err := m.View(100_000, 8, samepage.ReadWrite) // any offset, any length
	if err != nil {
		log.Fatal(err)
	}
	copy(v.Bytes(), "in place")
	status, err := v.Uint32(0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %#x\n", v.Bytes(), status.Load())
	fmt.Println(v.Close(), m.Close())
	// Output:
	// in place 0x70206e69
	// <nil> <nil>
}

// A file is read as a stream. It is far larger than the part of it that is mapped.
func ExampleMapFile() {
	path := filepath.Join(os.TempDir(), "samepage-example.dat")
	m, err := samepage.MapFile(path, 100<<20, &samepage.Options{Sparse: true})
	if err != nil {
		log.Fatal(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(m, 0, m.Size()))
	fmt.Println(n, err)
	fmt.Println(m.Close(), os.Remove(path))
	// Output:
	// 104857600 <nil>
	// <nil> <nil>
}

// A child inherits memory that has no name.
func ExampleInherit() {
	m, err := samepage.CreateUnnamed(1<<20, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	child := exec.Command("worker")
	token, err := samepage.Inherit(child, "frames", m, samepage.ReadOnly)
	if err != nil {
		log.Fatal(err)
	}
	child.Args = append(child.Args, "--shm="+token) // for samepage.Attach, or
	// the child calls samepage.Inherited("frames").
	fmt.Println(token[:10])
	// Output: samepage1-
}

// Memory is granted to a running process; here to this process itself.
func ExampleGrant() {
	m, err := samepage.CreateUnnamed(100, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	_, _ = m.WriteAt([]byte("for you"), 0)
	token, err := samepage.Grant(os.Getpid(), m, samepage.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	// The token travels by any means. The process it is for attaches:
	got, err := samepage.Attach(token)
	if err != nil {
		log.Fatal(err)
	}
	defer got.Close()
	b := make([]byte, 7)
	_, _ = got.ReadAt(b, 0)
	fmt.Println(string(b))
	// Output: for you
}

func ExampleOptions() {
	// A name that outlives its users, until somebody removes it.
	m, err := samepage.Create("settings", 4096, &samepage.Options{
		Lifetime: samepage.Persist,
		Init:     []byte("colour=blue"), // there before anybody can open it
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = m.Close()
	info, err := samepage.Stat("settings", nil)
	fmt.Println(info.Name, info.Size, info.Lifetime, info.InUse, err)
	fmt.Println(samepage.Remove("settings", nil))
	// Output:
	// settings 4096 persist false <nil>
	// <nil>
}

func ExampleList() {
	m, err := samepage.Create("listed", 12345, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	all, err := samepage.List()
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range all {
		if i.Name == "listed" {
			fmt.Println(i.Kind, i.Name, i.Scope, i.Size, i.InUse)
		}
	}
	// Output: memory listed local 12345 true
}

// A child inherits unnamed memory and learns the value of the handle from its command line. The
// child may be a C++ program.
func ExampleInheritHandle() {
	m, err := samepage.CreateUnnamed(1<<20, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	cmd := exec.Command("child.exe")
	value, err := samepage.InheritHandle(cmd, m, samepage.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	cmd.Args = append(cmd.Args, strconv.FormatUint(value, 10), "1048576")
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
}

// A child of a C++ program gets the value of a handle, and the size, from its parent.
func ExampleFromHandle() {
	value, err := strconv.ParseUint(os.Args[1], 0, 64)
	if err != nil {
		log.Fatal(err)
	}
	size, err := strconv.ParseInt(os.Args[2], 0, 64)
	if err != nil {
		log.Fatal(err)
	}
	m, err := samepage.FromHandle(value, size, samepage.ReadWrite)
	if err != nil {
		log.Fatal(err) // samepage.ErrBadToken: the text says what the value is instead
	}
	defer m.Close() // and the handle with it
	if _, err := m.WriteAt([]byte("hello"), 0); err != nil {
		log.Fatal(err)
	}
}

// A matrix in shared memory, and its rows.
func ExampleSlice() {
	m, err := samepage.CreateUnnamed(4096, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	matrix, err := samepage.As[[2][3]float32](v, 0)
	if err != nil {
		log.Fatal(err)
	}
	matrix[1] = [3]float32{4, 5, 6}
	all, err := samepage.Slice[float32](v, 0, 6) // the same bytes
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(all)
	// Output: [0 0 0 4 5 6]
}

// What a unit test says about a type.
func ExampleCheckType() {
	type Pose struct {
		Valid bool
		X     float64
		Turns int
	}
	fmt.Println(samepage.CheckType[Pose]())
	// Output:
	// samepage: samepage_test.Pose.Valid is a bool, which has bit patterns that are not valid; use samepage.Bool; samepage_test.Pose has 7 bytes of padding before X; samepage_test.Pose.Turns is an int, whose size differs between systems; use int64 or int32: the type cannot be stored in shared memory; this one can:
	// type Pose struct {
	// 	Valid samepage.Bool
	// 	_     [7]byte
	// 	X     float64
	// 	Turns int64
	// }
}
