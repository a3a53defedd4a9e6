// Package sharememory keeps one latest value with a checksum in a block of shared memory. A
// reader/writer lock, which is made of two files, protects the block. All of it is byte for byte
// the same as in existing C++ programs. A [Writer] does the work of their class ShareMemoryWrite, a
// [Reader] the work of ShareMemoryRead. A [FileLock] is the lock alone.
//
//	w, err := sharememory.CreateWriter(ctx, "settings", 4096, nil)
//	_, err = w.Write(ctx, value)
//
//	r, err := sharememory.OpenReader("settings", nil) // in another process
//	value, err := r.Append(ctx, nil)
//
// There are two layouts. Programs with one layout do not see the blocks of the other; see [Layout].
//
// On Windows the objects have the same names as in the C++ programs, without a prefix or suffix. On
// other systems there are no such C++ programs. There readers and writers of this package find each
// other, so that the port of a program can be written and tested.
//
// docs/legacy.md says what this layout cannot protect. legacy/wire.h describes it for C and C++.
// For new programs package cell is better.
//
// The package checks all bytes that another program can write before it uses them.
package sharememory
