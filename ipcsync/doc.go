// Package ipcsync synchronises processes: with [Mutex] and [RWMutex], whose methods have the names
// that package sync gives them, with [Semaphore] and with [Event]. Each object has a name that any
// process can open. [WaitAny] waits for several of them.
//
// A process that waits spins for a short time and then sleeps in the kernel. A Lock without
// contention costs one atomic instruction, no system call and no allocation.
//
// A process may die at any step. The kernel says which processes live. When the owner of a lock has
// died, the next process that waits gets the lock within a tenth of a second. If data may be half
// changed, it also gets samepage.ErrOwnerDied. Units of a semaphore have no owner, so they are not
// returned. A process that is only stopped is alive and keeps what it holds. docs/protocol
// describes the protocols.
//
// In the terms of the Go memory model an Unlock happens before the return of each later Lock, as
// in package sync; a Release happens before the return of the Acquire that it lets pass; and a
// Set happens before the return of the Wait that it lets pass. The race detector knows this order
// between the goroutines of one process; see docs/race.md.
//
// A process that may open a lock may also write its memory, and so break the promises of the lock
// to all processes that share it. Grant rights with this in mind. No content of that memory makes
// this package panic, read elsewhere or loop without end. But on Linux a process that may also
// truncate the file that has this memory can make the system end the processes that use the lock.
package ipcsync
