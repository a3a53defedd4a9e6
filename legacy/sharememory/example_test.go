package sharememory_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"samepage"
	"samepage/legacy/sharememory"
)

// A Go program writes its latest settings for C++ programs, which read them with ShareMemoryRead.
func ExampleWriter() {
	ctx := context.Background()
	w, err := sharememory.CreateWriter(ctx, "settings", 4096, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(ctx, []byte(`{"rate": 25}`)); err != nil {
		log.Fatal(err)
	}

	// Another process.
	r, err := sharememory.OpenReader("settings", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var buf [4096]byte
	n, err := r.Read(ctx, buf[:])
	if errors.Is(err, samepage.ErrChecksum) {
		log.Fatal("a writer died in the middle of a value, or does not lock: ", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", buf[:n])
	// Output: {"rate": 25}
}

func ExampleReader() {
	ctx := context.Background()
	// The newer programs' block.
	opts := &sharememory.Options{Layout: sharememory.Head}
	w, existed, err := sharememory.OpenOrCreateWriter(ctx, "speed", 64, opts)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write(ctx, []byte("12 m/s")); err != nil {
		log.Fatal(err)
	}

	r, err := sharememory.AwaitReader(ctx, "speed", opts) // waits for it to be made
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	err = r.View(ctx, func(content []byte) error { // in place, under the lock
		fmt.Printf("%s, existed: %v\n", content, existed)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 12 m/s, existed: false
}

// The lock alone, with files that other programs know.
func ExampleFileLock() {
	ctx := context.Background()
	l, err := sharememory.NewFileLock("report.mdb", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	if err := l.RLock(ctx); err != nil {
		log.Fatal(err)
	}
	ok, err := l.TryLock()
	fmt.Println("beside a reader:", ok, err)
	if err := l.RUnlock(); err != nil {
		log.Fatal(err)
	}
	ok, err = l.TryLock()
	fmt.Println("alone:", ok, err)
	if err := l.Unlock(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// beside a reader: false <nil>
	// alone: true <nil>
}
