// Package rpc has services. A client of a service asks, and a worker of the service answers. Any
// number of processes may be clients, and any number may be workers, in any order of starting.
//
// A service has a fixed number of call slots in shared memory. A client writes its request into a
// slot, where the worker reads it. The worker writes its response into the same slot, where the
// client reads it. So no byte is copied, unless the user asks for a copy ([Client.Call]). One
// worker takes each call. A response wakes its client, and nobody else.
//
// If a worker dies, the calls that it had fail with [samepage.ErrPeerDied], and the next call
// goes to another worker. A call that is marked as idempotent goes to another worker at once. If
// a client dies or gives up, its call ends without it. See docs/protocol/service.md.
//
// If a program drops a Client or Worker without Close, the garbage collector closes it. This does
// not happen while one of its calls is reachable.
//
// In the terms of the Go memory model: a call happens before its handler begins, and the return of
// the handler happens before the call returns.
package rpc

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"

	"samepage"
	"samepage/internal/call"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Options say how a service is created. The zero value, and nil, mean the default of each field.
// Scope and Owner also say where to find a service that exists. All other fields are for a new
// service only: the Open and Await functions return an error if one of them is set, except Schema.
//
// Scope, Lifetime, Perm, SecurityDescriptor and Owner are the same as in samepage.Options. All
// clients and workers need the right to write.
type Options struct {
	Scope    samepage.Scope
	Lifetime samepage.Lifetime
	// Members is the largest number of clients and workers together at a time: 1 to 1024, by
	// default 64.
	Members int
	// Calls is the largest number of calls of all clients at a time: 1 to 1024, by default 16.
	// Further calls wait. Each call slot that was used has memory for a request and a response.
	Calls int
	// Request and Response are the bytes of the largest request and the largest response: 1 to
	// 4 GiB - 1, by default 64 KiB.
	Request, Response int
	// Parts is the number of parts of a streamed response that may wait for the client: 1 to 64, by
	// default 1. Each part may have Response bytes.
	Parts int
	// Schema is the description of the types of the calls, as Client.Schema returns it, for a program
	// that does not have these types. Then requests and responses are the bytes of values of these
	// types, and must have their sizes; Request and Response must be 0. The default is bytes. ClientOf
	// and WorkerOf do not use Schema.
	Schema string

	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// unset returns an error if an option is set that is for a new service only.
func (o *Options) unset() error {
	return option.OnlyCreate(o, "Lifetime", "Members", "Calls", "Request", "Response", "Parts", "Perm", "SecurityDescriptor")
}

// untyped returns an error if an option is set that the types of the calls decide.
func (o *Options) untyped() error {
	if o.Request != 0 || o.Response != 0 {
		return option.Bad("Request and Response", fmt.Sprintf("%d and %d", o.Request, o.Response), "0: the types of the calls decide")
	}
	return nil
}

// defaults are the options of a service that says nothing else.
var defaults = Options{Members: layout.DefaultMembers, Calls: 16, Request: 64 << 10, Response: 64 << 10, Parts: 1}

// settings returns the settings of the call slots.
func (o *Options) settings() *call.Settings {
	return &call.Settings{
		Calls: cmp.Or(o.Calls, defaults.Calls), Parts: cmp.Or(o.Parts, defaults.Parts),
		Request: int64(cmp.Or(o.Request, defaults.Request)), Response: int64(cmp.Or(o.Response, defaults.Response)),
	}
}

// described returns the options of a service whose calls have the types of Schema, and their type.
func (o *Options) described() (*Options, *layout.Type, error) {
	ty, sizes, err := layout.CallTypeOfSchema(o.Schema)
	if err != nil {
		return nil, nil, option.Bad("Schema", strconv.Quote(layout.CutText(o.Schema, 40)), "the description of the types of calls: "+err.Error())
	}
	if err := o.untyped(); err != nil {
		return nil, nil, err
	}
	sized := *o
	sized.Request, sized.Response = sizes[0], sizes[1]
	return &sized, ty, nil
}

// plan returns the layout of a new service. ty is the type of its calls; nil: that of Schema, or
// bytes.
func (o *Options) plan(ty *layout.Type) (*segment.Spec, error) {
	if ty == nil && o.Schema != "" {
		var err error
		if o, ty, err = o.described(); err != nil {
			return nil, err
		}
	}
	if err := option.Named(layout.Scope(o.Scope), layout.Lifetime(o.Lifetime), o.Perm); err != nil {
		return nil, err
	}
	if err := segment.CheckMembers(o.Members); err != nil {
		return nil, err
	}
	c, of, err := o.settings().Config()
	if err != nil {
		return nil, err
	}
	if of.Payload > math.MaxInt/2 {
		return nil, fmt.Errorf("a service of %d bytes: %w", of.Payload, samepage.ErrTooLarge)
	}
	sp := &segment.Spec{Kind: layout.Service, Members: cmp.Or(o.Members, defaults.Members), Live: call.Live(c), Payload: of.Payload, Type: ty}
	return sp, nil
}

// Size returns the number of bytes of shared memory that a service with these options takes at
// most. A service of Go types takes the bytes of Schema more: set Schema to count them. See InUse.
//
// Errors: samepage.ErrTooLarge, fs.ErrInvalid (an option is out of range).
func (o *Options) Size() (int64, error) {
	if o == nil {
		o = &Options{}
	}
	s, err := o.plan(nil)
	if err != nil {
		return 0, fmt.Errorf("rpc: %w", err)
	}
	return segment.Size(s.Type, uint64(len(s.Live)), s.Members, s.Payload), nil
}

// InUse returns about how many bytes of shared memory such a service takes if up to so many calls
// were made at a time. A call slot is reserved by the call that uses it first, and it stays
// reserved until the service is removed.
//
// Errors: those of Size.
func (o *Options) InUse(calls int) (int64, error) {
	if o == nil {
		o = &Options{}
	}
	s, err := o.plan(nil)
	if err != nil {
		return 0, fmt.Errorf("rpc: %w", err)
	}
	if o.Schema != "" {
		o, _, _ = o.described() // plan has checked it
	}
	c, of, err := o.settings().Config()
	if err != nil {
		return 0, err
	}
	return segment.Size(s.Type, uint64(len(s.Live)), s.Members, s.Payload) - int64(of.Payload-call.InUse(c, of, calls)), nil
}

// spec returns the name, place and rights of the service.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Later: true,
		Name:  name, Scope: layout.Scope(o.Scope), Kind: layout.Service, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// callType is the type of calls with requests T and responses U.
func callType[T, U any]() (*layout.Type, [2]int, error) {
	t, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, [2]int{}, err
	}
	u, err := layout.TypeOf(reflect.TypeFor[U]())
	if err != nil {
		return nil, [2]int{}, err
	}
	return layout.CallType(t, u)
}

// service is the inner part of a client or a worker: it does not refer to the part that the user
// has. So a goroutine that waits for the end of a call that was given up may refer to it.
type service struct {
	name   string
	schema string
	h      *segment.Handle
	set    *call.Set

	mu    sync.Mutex
	wants [2]int // goroutines that sleep for each of the things below
}

// These are the bits of Member.Held: what the sleepers of a member wait for, besides answers.
const (
	wantCall = 1 << iota // a worker waits for a call
	wantSlot             // a client waits for a free call slot
)

// want says that a goroutine is going to sleep for what, or sleeps no more.
func (s *service) want(what uint64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := int(what >> 1)
	s.wants[k] += n
	held := atomic.LoadUint64(s.h.Held()) &^ what
	if s.wants[k] > 0 {
		held |= what
	}
	atomic.StoreUint64(s.h.Held(), held)
}

func (s *service) me() layout.Owner { return s.h.Me() }

func (s *service) wrap(op string, err error) error { return wrap(op, s.name, err) }

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rpc: %s %q: %w", op, name, segment.Deadline(err))
}

// Name returns the name of the service.
func (s *service) Name() string { return s.name }

// ID returns an ID that no other existing object has. All members of the service see the same ID.
func (s *service) ID() samepage.ID { return samepage.ID(s.h.ID()) }

// CheckName checks whether the name still leads to this service, see [samepage.Memory.CheckName].
//
// Errors: samepage.ErrNameGone; samepage.ErrClosed; any other error means that the check failed.
func (s *service) CheckName() error { return s.wrap("check the name of", s.h.CheckName()) }

// Schema returns the description of the Go types of the calls, with which a program that does not
// have the types can call the service: see Options.Schema, docs/layout.md and layout.SplitSchema.
// It is empty for bytes.
func (s *service) Schema() string { return s.schema }

// MaxRequest returns the bytes of the largest request.
func (s *service) MaxRequest() int { return int(s.set.C.Request) }

// MaxResponse returns the bytes of the largest response.
func (s *service) MaxResponse() int { return int(s.set.C.Response) }

// join creates or opens a service, and becomes a member of it.
func join(way segment.Way, name string, o *Options, ty *layout.Type, role uint32) (s *service, existed bool, err error) {
	if o == nil {
		o = &Options{}
	}
	if way == segment.ToOpen {
		if err := o.unset(); err != nil {
			return nil, false, err
		}
	}
	plan, err := o.plan(ty)
	if err != nil {
		return nil, false, err
	}
	ty, plan.Role = plan.Type, role
	spec := o.spec(name)
	obj, existed, err := plan.Get(way, spec)
	if err != nil {
		return nil, false, err
	}
	h, err := segment.Open(obj, layout.Service, layout.ServiceLiveSize, repair)
	if err != nil {
		return nil, false, err
	}
	h.WakeOnLeave = true // from here on: as the maker it has its role already
	s = &service{name: name, h: h}
	err = s.open(o, ty, !existed)
	if err != nil {
		err = errors.Join(obj.Damaged(err), h.Close())
		segment.Unmake(existed, spec)
		return nil, false, err
	}
	h.SetRole(role)
	h.WakeAll() // some may wait for a worker
	return s, existed, nil
}

func (s *service) open(o *Options, ty *layout.Type, isNew bool) (err error) {
	if err := s.h.Header().CheckType(ty); err != nil {
		return err
	}
	if s.set, err = slots(s.h, isNew); err != nil {
		return err
	}
	if ty, err := s.h.Type(); err == nil {
		s.schema = ty.Schema
	}
	s.set.Edges = s.h.Edges
	for _, x := range []struct {
		what      string
		want, has int
	}{{"Request", o.Request, s.MaxRequest()}, {"Response", o.Response, s.MaxResponse()}} {
		if x.want > x.has {
			return fmt.Errorf("%s is %d, want at most the %d of the existing service: %w", x.what, x.want, x.has, samepage.ErrTooLarge)
		}
	}
	return nil
}

// slots maps the call slots of a service. isNew says that the service has just been made.
func slots(h *segment.Handle, isNew bool) (*call.Set, error) {
	b, err := h.MapPayload(layout.ReadWrite)
	if err != nil {
		return nil, err
	}
	set, err := call.Open(h.Live(), b)
	if err != nil {
		return nil, err
	}
	return set, set.Later(isNew, func(off, n, more uint64) error { return h.Reserve(int64(off), int64(n), int64(more)) })
}

// repair ends the calls that a dead worker had. It is the segment.Repair of services. What a dead
// client had is adopted by the client that needs the slot.
func repair(h *segment.Handle, dead layout.Owner, who segment.Who) {
	set, err := slots(h, false)
	if err != nil {
		return // the next process that opens the segment gets the error
	}
	set.Reap(dead, call.Died{PID: who.PID, Space: who.Space, At: now(), Name: who.Name})
}

// close leaves the service. Calls that were given up and that a worker still has stay behind, for
// the client that needs their slots.
func (s *service) close() error {
	me := s.me()
	for slot := range s.set.Calls() {
		if s.set.OwnerOf(slot) != me {
			continue
		}
		if n := s.set.StateOf(slot).Number(); s.set.Settle(slot, n) {
			s.set.Release(slot, me)
		} else {
			s.set.Cancel(slot, n)
		}
	}
	return s.h.Close()
}

// giveBack leaves the service if the user has forgotten to close it.
func giveBack(s *service) (kept bool) {
	if !s.h.Closed() {
		_ = s.close()
	}
	return false
}

// ringWorker rings one worker that sleeps, because there is a call.
func (s *service) ringWorker() {
	if s.h.Asleep() {
		s.h.WakeFor(wantCall, 1)
	}
}

// ringWorkerOf rings the worker that has the call in a slot, if it sleeps.
func (s *service) ringWorkerOf(slot int) {
	if s.h.Asleep() {
		if w := s.set.StateOf(slot).Worker(); !w.Free() {
			s.h.Ring(w.Slot())
		}
	}
}

// free gives a call slot back, and rings one client that waits for one.
func (s *service) free(slot int) {
	s.set.Release(slot, s.me())
	if s.h.Asleep() {
		s.h.WakeFor(wantSlot, 1)
	}
}

// uses counts what the user does with a handle, until Close ends it.
type uses struct{ n atomic.Int32 }

// closed is added by end: then n is negative for ever.
const closed = math.MinInt32 / 2

// begin begins a use. It returns false after end.
func (u *uses) begin() bool {
	if u.n.Add(1) > 0 {
		return true
	}
	u.n.Add(-1)
	return false
}

func (u *uses) done() { u.n.Add(-1) }

// end makes every later begin fail. If there are uses now, it does nothing, and returns their
// number. A second end does nothing.
func (u *uses) end() int {
	if u.n.CompareAndSwap(0, closed) {
		return 0
	}
	return int(max(u.n.Load(), 0))
}

// isWorker is for segment.Handle.Others.
func isWorker(role uint32, _ bool) bool { return role == layout.RoleWorker }
