// Package ipcsync has the synchronisation of processes, with the method names of
// package sync: [Mutex], [RWMutex], [Semaphore] and [Event], each by a name that
// any process can open; and [WaitAny] of several.
//
// Those who wait sleep in the kernel, after a short spin. An uncontended Lock
// costs one atomic instruction, no system call and no allocation.
//
// A process may die at any step. The kernel says who is alive; what the dead held
// is given to the next one, within a tenth of a second, together with
// samepage.ErrOwnerDied where data may be half changed. A process that is only
// stopped is alive, and keeps what it has. docs/protocol tells how.
//
// In the terms of the Go memory model an Unlock happens before the return of each later Lock,
// as in package sync, a Release before the return of the Acquire that it lets pass, and a
// Set before that of the Wait. The race detector knows that of the goroutines of one
// process; docs/race.md.
//
// Whoever may open a lock may write its memory, and so break the lock's promises to
// all who share it; grant rights accordingly. No content of that memory makes this
// package panic, read elsewhere, or loop without end; but who may also truncate the
// file below it (Linux) can have the system end the processes that use it.
package ipcsync
