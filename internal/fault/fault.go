// Package fault has the named crash points of the protocols: places between two
// steps where a process may die. In normal builds they are nothing at all. Built
// with -tags samepagefault, a process that has the name of a point in
// SAMEPAGE_FAULT kills itself when it comes there, without any clean-up, as
// kill -9 would. "name:n" lets it pass n times before.
package fault

// Point is a crash point.
type Point uint8

// The crash points, by the steps of docs/protocol. Tests go through all of them,
// so a new one is covered by itself.
const (
	JoinTaken      Point = iota // a joiner has the lock byte, the slot is not yet in use
	JoinNamed                   // it has written who it is, but not Identity
	JoinDone                    // it is a member
	LeaveBegun                  // a leaver still is a member
	LeaveUnmarked               // the slot is not in use, the byte still locked
	RepairTaken                 // a reaper has the dead one's byte
	RepairHalf                  // what the dead one held is repaired, the slot still in use
	RepairDone                  // the slot is not in use, the byte still locked
	RepairUnrung                // the byte is free, nobody woken
	SleepBit                    // a sleeper has set its bit
	SleepWoken                  // a sleeper has slept, its bit still set
	RingHalf                    // a ringer has changed the word, and not yet woken
	LockTaken                   // a mutex has just been locked
	UnlockUnrung                // it is unlocked, nobody rung
	ConsistentDone              // its data was declared consistent
	ReadCounted                 // a reader has counted itself, and not looked for a writer
	ReadHeld                    // a reader holds
	ReadUncounted               // a reader has let go, the writer not rung
	WriteClaimed                // a writer keeps new readers out
	WriteHeld                   // a writer holds
	AcquireTaken                // a unit of a semaphore is taken
	ReleaseUnrung               // units are back, nobody rung

	LaneRebuilt   // a new writer has its lane, and found its slots
	LaneFilled    // a message is written, its entry not yet touched
	LaneZeroed    // its entry tells of nothing
	LaneNamed     // its entry names the slot, and has no number yet
	LaneCommitted // it is there, nobody rung
	LaneReclaim   // the generations of retired slots are gone
	LaneLimit     // a writer has stored its limit, and not looked at the cursors
	LaneWaits     // a writer says that it waits, or no more
	LaneEvicted   // a reader is passed over, its slot not yet kept
	LaneEnding    // a writer has ended its stream, and is still named
	LaneJoining   // a reliable reader has a cursor, and no bit yet
	LaneJoined    // it reads
	LanePinned    // a best-effort reader has pinned, and not looked again
	LaneRead      // a reader looks at a message
	LaneLetGo     // a reliable reader has stored its cursor, the writer not rung
	LaneLeft      // a reader has left a lane, the writer not rung

	StoreDirMade    // the directory of objects is made, under another name (Linux)
	StoreRecordMade // an object's record file is made, and says nothing yet (Windows)
	StoreDataMade   // its own file is made as well (Windows)
	points
)

var names = [points]string{
	"join-taken", "join-named", "join-done", "leave-begun", "leave-unmarked",
	"repair-taken", "repair-half", "repair-done", "repair-unrung",
	"sleep-bit", "sleep-woken", "ring-half",
	"lock-taken", "unlock-unrung", "consistent-done",
	"read-counted", "read-held", "read-uncounted", "write-claimed", "write-held",
	"acquire-taken", "release-unrung",
	"lane-rebuilt", "lane-filled", "lane-zeroed", "lane-named", "lane-committed", "lane-reclaim",
	"lane-limit", "lane-waits", "lane-evicted", "lane-ending",
	"lane-joining", "lane-joined", "lane-pinned", "lane-read", "lane-let-go", "lane-left",
	"store-dir-made", "store-record-made", "store-data-made",
}

func (p Point) String() string { return names[p] }

// All lists the crash points.
func All() []Point { return between(0, points) }

// Locks lists the crash points that locks and events come through.
func Locks() []Point { return between(0, LaneRebuilt) }

// Lanes lists those that lanes come through besides.
func Lanes() []Point { return between(LaneRebuilt, StoreDirMade) }

// Store lists those that a create comes through, each on one system only.
func Store() []Point { return between(StoreDirMade, points) }

func between(from, to Point) (all []Point) {
	for p := from; p < to; p++ {
		all = append(all, p)
	}
	return all
}
