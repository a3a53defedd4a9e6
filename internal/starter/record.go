package starter

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"

	"samepage/internal/sys/process"
	"samepage/layout"
)

const (
	recordMagic   = 0x54525453_47504d53 // "SMPGSTRT"
	recordVersion = 2
	// recordSize is the size of the shared memory: the record, and the CRC-32C of its bytes.
	recordSize = 8192
	// tailSize is how many of the last bytes of standard error are kept.
	tailSize = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// state is what is known about a place.
type state uint32

const (
	stateEmpty    state = iota // no child was started yet
	stateStarting              // Starter is about to start a child, or died while it did
	stateRuns                  // Child was started, and nobody has noticed its end
	stateEnded                 // Child has ended
)

// record is what all processes know about the child that was started last. It is little-endian in
// the shared memory. It is read and written under the lock. If all bytes are zero, no child was
// started yet.
type record struct {
	Magic   uint64
	Version uint32
	State   state

	ID           process.GroupID // of this start
	ChildPID     uint32
	StarterPID   uint32 // the process that has started the child
	ChildStart   uint64
	StarterStart uint64

	// Times are nanoseconds since 1970, 0 for none.
	StartedAt int64
	ReadyAt   int64
	EndedAt   int64
	NotBefore int64 // of the next start

	Failures   uint32 // starts in a row that were no success
	ExitCode   int32
	ExitKnown  bool
	Reports    bool // the starter will write how the child ends
	Together   bool // the child leads a group
	File       bool // the child's standard error goes to the file of ID, which exists
	SignalSize uint32
	TailSize   uint32
	DirSize    uint32
	Signal     [32]byte   // the text of the signal that has ended the child
	Dir        [1024]byte // the directory of that file
	Tail       [tailSize]byte
}

func (r *record) child() layout.Process {
	return layout.Process{PID: r.ChildPID, Start: r.ChildStart}
}

func (r *record) starter() layout.Process {
	return layout.Process{PID: r.StarterPID, Start: r.StarterStart}
}

func (r *record) exit() process.Exit {
	return process.Exit{Known: r.ExitKnown, Code: int(r.ExitCode), Signal: string(r.Signal[:min(r.SignalSize, uint32(len(r.Signal)))])}
}

func (r *record) setExit(e process.Exit) {
	r.ExitKnown, r.ExitCode = e.Known, int32(e.Code)
	r.Signal = [len(r.Signal)]byte{}
	r.SignalSize = uint32(copy(r.Signal[:], e.Signal))
}

func (r *record) tail() []byte { return r.Tail[:min(r.TailSize, tailSize)] }

func (r *record) setTail(b []byte) {
	b = b[max(0, len(b)-tailSize):]
	r.Tail = [tailSize]byte{}
	r.TailSize = uint32(copy(r.Tail[:], b))
}

// appendRecord appends the bytes of the shared memory.
func appendRecord(b []byte, r *record) []byte {
	r.Magic, r.Version = recordMagic, recordVersion
	at := len(b)
	b, _ = binary.Append(b, binary.LittleEndian, r) // all fields have fixed sizes
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// parseRecord returns the record in b. It returns an empty one if b was written only in part, or
// not yet.
func parseRecord(b []byte) *record {
	r := &record{}
	n := binary.Size(r)
	if len(b) < n+4 || binary.LittleEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return r
	}
	if err := binary.Read(bytes.NewReader(b[:n]), binary.LittleEndian, r); err != nil ||
		r.Magic != recordMagic || r.Version != recordVersion || r.State > stateEnded {
		return &record{}
	}
	return r
}

func nanos(t time.Time) int64 { return t.UnixNano() }

// timeOf returns the time of nanoseconds since 1970, or no time for 0.
func timeOf(ns int64) (t time.Time) {
	if ns != 0 {
		t = time.Unix(0, ns)
	}
	return t
}
