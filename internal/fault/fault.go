// Package fault has the named crash points of the protocols. A crash point is a place between two
// steps where a process may die. In normal builds the points do nothing. In a build with -tags
// samepagefault, the environment variable SAMEPAGE_FAULT can name a point: then the process kills
// itself when it reaches this point, without any clean-up, as kill -9 would. "name:n" lets it
// pass n times before. With "name@FILE" it does not die: it makes FILE there once, and goes on when
// FILE is gone.
package fault

// Point is a crash point.
type Point uint8

// These are the crash points, by the steps of docs/protocol. Tests go through all of them, so a
// new point needs no new test.
const (
	JoinTaken      Point = iota // a joiner holds the lock byte, the slot is not yet in use
	JoinNamed                   // the joiner has written who it is, but not Identity
	JoinDone                    // the joiner is a member
	LeaveBegun                  // a member that leaves is still a member
	LeaveUnmarked               // the slot is not in use, the byte is still locked
	RepairTaken                 // a reaper holds the byte of a dead member
	RepairHalf                  // what the dead member held is repaired, the slot is still in use
	RepairDone                  // the slot is not in use, the byte is still locked
	RepairUnrung                // the byte is free, nobody is woken yet
	SleepBit                    // a sleeper has set its bit
	SleepWoken                  // a sleeper has slept, its bit is still set
	RingHalf                    // a ringer has changed the word, and has not yet woken the sleeper
	LockTaken                   // a mutex has just been locked
	UnlockUnrung                // the mutex is unlocked, nobody is rung yet
	ConsistentDone              // the data was declared consistent
	ReadCounted                 // a reader has counted itself, and has not yet looked for a writer
	ReadHeld                    // a reader holds the lock
	ReadUncounted               // a reader has released the lock, the writer is not rung yet
	WriteClaimed                // a writer keeps new readers out
	WriteHeld                   // a writer holds the lock
	AcquireTaken                // a unit of a semaphore is taken
	ReleaseUnrung               // units are released, nobody is rung yet

	LaneRebuilt   // a new writer has its lane, and has found its slots
	LaneReserved  // a new writer has space, and has not yet found its slots
	LaneKeeps     // a reader has said how many messages it may keep, and has no space for them yet
	LaneFilled    // a message is written, and nobody sees it yet
	LanePublished // readers that look at the slot see the message, its entry is not yet touched
	LaneZeroed    // the entry has no message
	LaneNamed     // the entry names the slot, and has no number yet
	LaneCommitted // all readers see the message, nobody is rung yet
	LaneReclaim   // the generations of retired slots are zero
	LaneLimit     // a writer has stored its limit, and has not yet loaded the cursors
	LaneWaits     // a writer has stored whether it waits
	LaneEvicted   // a reader is evicted, its slot is not kept yet
	LaneEnding    // a writer has ended its stream, and is still named as writer
	LaneJoining   // a reliable reader has a cursor, and no bit yet
	LaneJoined    // a reliable reader has joined
	LanePinned    // a best-effort reader has pinned a slot, and has not yet checked it again
	LaneRead      // a reader reads a message
	LaneLetGo     // a reliable reader has stored its cursor, the writer is not rung yet
	LaneLeft      // a reader has left a lane, the writer is not rung yet
	LaneRetired   // a topic is retired, its lanes are still taken

	PackHalf       // a part of the messages of a pack is written
	PackUnnumbered // a pack is published, Number is not stored yet

	CallClaimed   // a client has a call slot, and has not yet asked
	CallWritten   // the request is written
	CallAsked     // the call is asked or handed to a worker, it has no hint yet
	CallHinted    // the call has a hint, nobody is rung yet
	CallUnhinted  // a worker has cleared a hint, and has not yet looked at the slot
	CallTaken     // a worker has the call
	CallBegun     // a worker executes the call
	CallAnswering // the answer is written, and the client does not see it yet
	CallReplied   // the client can see the answer, nobody is rung yet
	CallConsumed  // a client has let go of a part, its worker is not rung yet
	CallUnbound   // a worker does not look at the slot any more
	CallCancelled // a client has given up a call that a worker has
	CallEnding    // a client has what it wants, and still has the slot
	CallReleased  // the slot is free, nobody is rung yet
	CallReaped    // a reaper has looked at a call of a dead worker, and has not yet ended it
	CallAdopted   // the slot of a client that is gone has a new owner
	ConnClaimed   // a member has claimed a connection, to prepare it or to take it down
	ConnAsked     // a connection is asked for, and there is no hint yet
	ConnAccepted  // a connection is accepted, its acceptor has done nothing yet
	ConnWritten   // bytes are in the ring, and are not published yet
	ConnPublished // bytes are published, the reader is not rung yet
	ConnRead      // bytes are read, and their space is not given back yet
	ConnConsumed  // the space is given back, the writer is not rung yet
	ConnWaits     // an end has said that it waits, and does not sleep yet
	ConnClosed    // an end has said that it is closed, the other end is not rung yet
	ConnLeft      // an end has left the connection
	ConnHalf      // a reaper has repaired one connection of several

	StoreDirMade    // the directory of objects is made, under another name (Linux)
	StoreRecordMade // the record file of an object is made, and is still empty (Windows)
	StoreDataMade   // the object's own file is made too (Windows)

	WorkerStarted // a worker process is started, and its record does not name it yet

	SegmentMade // a new segment has its name, and its maker has done nothing in it yet
	points
)

var names = [points]string{
	"join-taken", "join-named", "join-done", "leave-begun", "leave-unmarked",
	"repair-taken", "repair-half", "repair-done", "repair-unrung",
	"sleep-bit", "sleep-woken", "ring-half",
	"lock-taken", "unlock-unrung", "consistent-done",
	"read-counted", "read-held", "read-uncounted", "write-claimed", "write-held",
	"acquire-taken", "release-unrung",
	"lane-rebuilt", "lane-reserved", "lane-keeps", "lane-filled", "lane-published", "lane-zeroed", "lane-named", "lane-committed", "lane-reclaim",
	"lane-limit", "lane-waits", "lane-evicted", "lane-ending",
	"lane-joining", "lane-joined", "lane-pinned", "lane-read", "lane-let-go", "lane-left", "lane-retired",
	"pack-half", "pack-unnumbered",
	"call-claimed", "call-written", "call-asked", "call-hinted", "call-unhinted", "call-taken", "call-begun", "call-answering",
	"call-replied", "call-consumed", "call-unbound", "call-cancelled", "call-ending", "call-released", "call-reaped", "call-adopted",
	"conn-claimed", "conn-asked", "conn-accepted", "conn-written", "conn-published", "conn-read", "conn-consumed",
	"conn-waits", "conn-closed", "conn-left", "conn-half",
	"store-dir-made", "store-record-made", "store-data-made",
	"worker-started",
	"segment-made",
}

func (p Point) String() string { return names[p] }

// All lists the crash points.
func All() []Point { return between(0, points) }

// Locks lists the crash points of locks and events.
func Locks() []Point { return between(0, LaneRebuilt) }

// Lanes lists the further crash points of lanes, without LaneRetired: it ends a topic.
func Lanes() []Point { return between(LaneRebuilt, LaneRetired) }

// Packs lists the further crash points of lanes with packs.
func Packs() []Point { return between(PackHalf, CallClaimed) }

// Calls lists the further crash points of services.
func Calls() []Point { return between(CallClaimed, ConnClaimed) }

// Conns lists the further crash points of connections.
func Conns() []Point { return between(ConnClaimed, StoreDirMade) }

// Store lists the crash points of a create. Each exists on one system only.
func Store() []Point { return between(StoreDirMade, WorkerStarted) }

func between(from, to Point) (all []Point) {
	for p := from; p < to; p++ {
		all = append(all, p)
	}
	return all
}
