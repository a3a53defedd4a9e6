// Package samepage puts processes on the same page: named, file-backed and
// unnamed shared memory, on Linux and Windows.
//
// A [Memory] is an object that several processes share; a [View] is a window
// on it, a plain []byte. They are two types because they are two things: an
// object may be far larger than what is mapped of it.
//
//	m, err := samepage.Create("frames", 64<<20, nil)   // one process
//	m, err := samepage.Open("frames", nil)             // another one
//	v, err := m.View(0, 0, samepage.ReadWrite)         // 0 bytes: to the end
//	copy(v.Bytes(), picture)
//
// # Names
//
// A name is UTF-8, not empty, at most 200 bytes, without slash, backslash and
// NUL. It belongs to a [Scope]: Local names are this user's (on Windows, of this
// session), Global ones are the machine's. The prefixes Local\ and Global\
// choose the scope as on Windows. Each [Kind] of object has names of its own,
// so an event and a memory may share one. Options.Exact takes the system's
// bare name instead, to meet other people's programs.
//
// # Lifetime
//
// A name goes when its last user goes, by Close or by death, on every system:
// after kill -9 of the last user nothing opens it any more. Its bytes come back with
// the next use: when anybody creates or opens that name, or calls [List] or [Clean];
// with the first create of a process, which looks at 256 names, so that programs that are
// killed again and again do not fill the machine; and with each create that finds no space,
// which looks at all names and then tries again. None of this waits for anybody. It takes
// away what is the user's own. A name made with [Persist] stays until it is removed or the machine restarts.
//
// What is open keeps descriptors, usually two to four. An object of any package here that is
// dropped without Close is given back when it is collected, as an os.File is, and its name
// goes if it was the last; that may take minutes. Exceptions are locks that are held, which
// stay so, and the bytes of a [View]. A build with -tags samepagedebug tells of each on
// standard error, with the stack that opened it. So whoever opens an object only to keep
// its name must keep the object: defer Close.
//
// # Safety
//
// Everything that another process can write is hostile: this package never
// faults or panics on it. What it cannot do is protect a slice that the caller
// holds: Bytes of a closed view must not be touched, and a peer that may write
// to the file below may also truncate it, which makes later access to a view
// in place fault (SIGBUS); the words of a lock are such a view. The copying calls, ReadAt and WriteAt, report
// [ErrCorrupt] instead. Unnamed memory cannot be truncated.
//
// All functions and methods may be called concurrently. The bytes themselves
// are the callers' to synchronise, in the usual way within a process and with
// package ipcsync between processes. The race detector does not see mapped memory; docs/race.md
// says what it knows of the objects in it.
package samepage
