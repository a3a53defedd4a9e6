// Package samepage shares memory between processes, on Linux and Windows. The memory is named,
// file-backed or unnamed.
//
// A [Memory] is an object that several processes share. A [View] is a part of it that is mapped
// into this process, as a plain []byte. They are two types because an object may be far larger
// than the part that a process maps.
//
//	m, err := samepage.Create("frames", 64<<20, nil)   // one process
//	m, err := samepage.Open("frames", nil)             // another process
//	v, err := m.View(0, 0, samepage.ReadWrite)         // length 0: to the end
//	copy(v.Bytes(), picture)
//
// Four verbs open or make an object, here and in the other packages. Create makes it, and fails
// if it exists. Open opens it, and fails if it is missing. OpenOrCreate does one or the other,
// and says which. Await waits until it exists, and opens it. Some options count only when an
// object is made: Open and Await refuse them, and OpenOrCreate ignores them if the object exists.
//
// # Names
//
// A name is UTF-8 of 1 to 200 bytes, without slash, backslash and NUL. It belongs to a [Scope]:
// Local names belong to this user (on Windows to this session), Global names to the machine. The
// prefixes Local\ and Global\ choose the scope, as on Windows. Each [Kind] of object has its own
// names, so an event and a memory may have the same name. Options.Exact uses the system's bare
// name instead, to meet programs that do not use this package.
//
// # Lifetime
//
// A name goes, that is, it stops existing, when its last user closes the object or dies. This is
// so on every system: after kill -9 of the last user, no process can open the name any more. A
// name made with [Persist] stays until it is removed or the machine restarts.
//
// If the last user was killed, it could not free the memory. So the memory is freed later:
//
//   - when any process creates or opens that name;
//   - by [Clean], which removes what [Leftovers] describes ([List] removes nothing);
//   - by the first create of a process. It looks at 256 names, so that programs that are killed
//     again and again do not fill the machine;
//   - by each create that finds no space. It looks at all names, and then tries again.
//
// None of these waits for another process. Each removes only objects of the calling user.
//
// An open object keeps descriptors, usually two to four. If an object of any package here is
// dropped without Close, it is closed when it is garbage collected, as an os.File is. If it was
// the last user of its name, the name goes then. That may take minutes. There are two exceptions:
// a lock that is held stays held, and the bytes of a [View] stay mapped. A build with -tags
// samepagedebug reports each dropped object on standard error, with the stack that opened it. If
// you open an object only to keep its name, keep the object: defer Close.
//
// # Safety
//
// This package treats everything that another process can write as hostile: it never faults or
// panics on it. But it cannot protect a slice that the caller holds. Bytes of a closed view must
// not be touched. A process that may write to the file that has the bytes may also truncate it.
// Then an access to Bytes faults (SIGBUS). The same is true of the words of locks, topics and
// cells. The copying calls, ReadAt and WriteAt, return [ErrCorrupt] instead. Unnamed memory cannot
// be truncated.
//
// All functions and methods may be called concurrently. The callers must synchronise access to
// the bytes themselves: in the usual way within a process, and with package ipcsync between
// processes. The race detector does not see mapped memory; docs/race.md says what it knows of the
// objects there.
package samepage
