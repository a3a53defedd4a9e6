// Package starter starts one child of a name, however many processes want it to run.
//
// All processes that open a Starter by one name share a record of the child that was started
// last: its id and its start time. No two processes have both in common. The record changes under
// a lock that all share. So if several processes find that the child does not run, only one of
// them starts it.
//
// A handle on the process (a pidfd, a process handle) shows whether the child runs. The exit code
// does not, because 259 (STILL_ACTIVE) is also a possible exit code. The parent waits for its
// child in the background. So a child that was killed has ended at once, for its parent and for
// all others.
//
// The child is not killed when the processes that started it end. The record goes with the last
// of them: a process that comes later starts another child. It also starts another child if a
// process was killed after it had started a child and before it had written the record.
package starter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os/exec"

	"samepage"
	"samepage/internal/sys/process"
	"samepage/ipcsync"
	"samepage/layout"
)

// prefix separates the names of starters from the names of their users' memories and locks.
const prefix = "starter."

// MaxName is the longest name of a starter, in bytes.
const MaxName = layout.MaxName - len(prefix)

// The record is little-endian: magic @0, process id u32 @8, version u32 @12, start u64 @16,
// CRC-32C of all these u32 @24. If all bytes are zero, no child was started yet.
const (
	recordSize    = 32
	recordMagic   = 0x54525453_47504d53 // "SMPGSTRT"
	recordVersion = 1
	recordSum     = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Starter starts the child of a name. Its methods may be called concurrently. The zero value is
// not usable.
type Starter struct {
	name string
	lock *ipcsync.Mutex
	mem  *samepage.Memory

	mine   chan struct{} // has an element while a call uses the fields below
	closed bool
	child  layout.Process   // the child of held
	held   *process.Running // nil: no child is known
}

// Open opens the starter of a name, or makes it. Of opts it uses Scope, Perm, SecurityDescriptor
// and Owner. nil means the default of each.
//
// Errors: samepage.ErrName, and those of samepage.OpenOrCreate.
func Open(name string, opts *samepage.Options) (*Starter, error) {
	s, err := open(name, opts)
	if err != nil {
		return nil, fmt.Errorf("starter: open %q: %w", name, err)
	}
	return s, nil
}

func open(name string, opts *samepage.Options) (*Starter, error) {
	if name == "" || len(name) > MaxName {
		return nil, fmt.Errorf("the name has %d bytes, want 1 to %d: %w", len(name), MaxName, samepage.ErrName)
	}
	if opts == nil {
		opts = &samepage.Options{}
	}
	s := &Starter{name: name, mine: make(chan struct{}, 1)}
	var err error
	s.lock, _, err = ipcsync.OpenOrCreateMutex(prefix+name, &ipcsync.Options{
		Scope: opts.Scope, Perm: opts.Perm, SecurityDescriptor: opts.SecurityDescriptor, Owner: opts.Owner,
	})
	if err != nil {
		return nil, err
	}
	s.mem, _, err = samepage.OpenOrCreate(prefix+name, recordSize, &samepage.Options{
		Scope: opts.Scope, Perm: opts.Perm, SecurityDescriptor: opts.SecurityDescriptor, Owner: opts.Owner,
	})
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// Ensure starts a child, unless the child that was started last still runs, whoever started it.
// It returns the process that runs now, and says whether this call has started it. If this
// Starter knows the child already and the child runs, Ensure costs one system call and allocates
// nothing.
//
// Ensure calls command only to start the child. command makes the exec.Cmd, and Ensure calls its
// Wait. Where the exec.Cmd says nothing, the defaults of package os/exec apply: the child
// inherits nothing except environment and directory. If a child ends before Ensure can look at
// it, started is true and the Start of child is 0.
//
// Errors: samepage.ErrClosed, the error of ctx, the error of command, and those of
// exec.Cmd.Start.
func (s *Starter) Ensure(ctx context.Context, command func() (*exec.Cmd, error)) (child layout.Process, started bool, err error) {
	if err := s.enter(ctx); err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	defer s.exit()
	if running, err := s.known(); running || err != nil {
		return s.child, false, s.wrap(err)
	}
	err = s.locked(ctx, func() error {
		if running, err := s.lookUp(); running || err != nil {
			return err
		}
		started = true
		return s.start(command)
	})
	if err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	return s.child, started, nil
}

// Running says whether a child runs, and which one. It starts none. Errors: samepage.ErrClosed,
// the error of ctx.
func (s *Starter) Running(ctx context.Context) (child layout.Process, running bool, err error) {
	if err := s.enter(ctx); err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	defer s.exit()
	running, err = s.known()
	if !running && err == nil {
		err = s.locked(ctx, func() (err error) {
			running, err = s.lookUp()
			return err
		})
	}
	if !running || err != nil {
		return layout.Process{}, false, s.wrap(err)
	}
	return s.child, true, nil
}

// Close closes the starter. The child goes on. A second Close does nothing.
func (s *Starter) Close() error {
	s.mine <- struct{}{}
	defer s.exit()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.wrap(errors.Join(s.letGo(), s.mem.Close(), s.lock.Close()))
}

func (s *Starter) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("starter: child %q: %w", s.name, err)
	}
	return nil
}

// enter waits for its turn among the calls of this Starter. Errors: the error of ctx.
func (s *Starter) enter(ctx context.Context) error {
	select {
	case s.mine <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Starter) exit() { <-s.mine }

// locked calls f under the lock that all processes share.
func (s *Starter) locked(ctx context.Context, f func() error) (err error) {
	err = s.lock.Lock(ctx)
	if errors.Is(err, samepage.ErrOwnerDied) {
		// Either the record is whole, or its checksum shows that it is not.
		err = s.lock.Consistent()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lock.Unlock()) }() // also if f panics
	return f()
}

// known says whether the child of held still runs. If it has ended, known closes held.
func (s *Starter) known() (bool, error) {
	if s.closed {
		return false, samepage.ErrClosed
	}
	if s.held == nil {
		return false, nil
	}
	ended, err := s.held.Ended()
	if err == nil && ended {
		err = s.letGo()
	}
	return err == nil && !ended, err
}

func (s *Starter) letGo() error {
	s.child = layout.Process{}
	if s.held == nil {
		return nil
	}
	err := s.held.Close()
	s.held = nil
	return err
}

// lookUp gets a handle on the child that the record names, if that child runs. The caller holds
// the lock.
func (s *Starter) lookUp() (bool, error) {
	var b [recordSize]byte
	if _, err := s.mem.ReadAt(b[:], 0); err != nil {
		return false, err
	}
	p, ok := parseRecord(b[:])
	if !ok {
		return false, nil
	}
	return s.hold(p)
}

// hold gets a handle on p. It returns false if p has ended.
func (s *Starter) hold(p layout.Process) (bool, error) {
	held, err := process.Hold(p)
	switch {
	case errors.Is(err, samepage.ErrPeerNotStarted):
		return false, nil
	case err != nil:
		return false, err
	}
	s.child, s.held = p, held
	return true, nil
}

// start starts a child and records it. The caller holds the lock.
func (s *Starter) start(command func() (*exec.Cmd, error)) error {
	cmd, err := command()
	if err == nil && cmd == nil {
		err = fmt.Errorf("the function command returned no command: %w", fs.ErrInvalid)
	}
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p, err := process.Find(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // not earlier: until Wait the id belongs to the child
	if errors.Is(err, samepage.ErrPeerNotStarted) {
		s.child = layout.Process{PID: uint32(cmd.Process.Pid)}
		return nil
	}
	if err != nil {
		return err
	}
	var b [recordSize]byte
	appendRecord(b[:0], p)
	if _, err := s.mem.WriteAt(b[:], 0); err != nil {
		return err
	}
	if _, err := s.hold(p); err != nil {
		return err
	}
	s.child = p // also if it has ended meanwhile
	return nil
}

func appendRecord(b []byte, p layout.Process) []byte {
	b = binary.LittleEndian.AppendUint64(b, recordMagic)
	b = binary.LittleEndian.AppendUint32(b, p.PID)
	b = binary.LittleEndian.AppendUint32(b, recordVersion)
	b = binary.LittleEndian.AppendUint64(b, p.Start)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseRecord returns the process that a record names. It returns false if the record names none,
// or was written only in part.
func parseRecord(b []byte) (layout.Process, bool) {
	if len(b) < recordSize || binary.LittleEndian.Uint64(b) != recordMagic ||
		binary.LittleEndian.Uint32(b[12:]) != recordVersion ||
		binary.LittleEndian.Uint32(b[recordSum:]) != crc32.Checksum(b[:recordSum], castagnoli) {
		return layout.Process{}, false
	}
	return layout.Process{PID: binary.LittleEndian.Uint32(b[8:]), Start: binary.LittleEndian.Uint64(b[16:])}, true
}
