// Package sharememory keeps one latest value with a checksum in a block of shared memory,
// under a reader/writer lock that is made of two files: byte for byte as existing C++
// programs do. A [Writer] does what their class ShareMemoryWrite does, a [Reader] what
// ShareMemoryRead does. A [FileLock] is the lock alone.
//
//	w, err := sharememory.CreateWriter(ctx, "settings", 4096, nil)
//	_, err = w.Write(ctx, value)
//
//	r, err := sharememory.OpenReader("settings", nil) // in another process
//	value, err := r.Append(ctx, nil)
//
// There are two layouts, which do not see each other: see [Layout].
//
// On Windows the objects have the bare names that the C++ programs use. On other systems
// there are no such programs, and readers and writers of this package meet each other, so
// that the port of a program can be written and tested there. docs/legacy.md says what the
// layout cannot protect; legacy/wire.h describes it for C and C++. For new programs package
// cell is better.
//
// Whatever another program can write is checked before it is used.
package sharememory
