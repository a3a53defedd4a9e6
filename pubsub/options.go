package pubsub

import (
	"fmt"
	"io/fs"
	"time"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// Options say how a topic is created. The zero value, and nil, mean the default of each field.
// Scope and Owner also say where to find a topic that exists. All other fields are for a new topic
// only: OpenPublisher and AwaitPublisher return an error if one of them is set, except Schema.
//
// Scope, Lifetime, Perm, SecurityDescriptor and Owner are the same as in samepage.Options. Also
// subscribers need the right to write, because they write their entry in the member table: with
// Perm 0644 only the owner may subscribe, with 0660 also the group, with 0666 all users.
type Options struct {
	Scope    samepage.Scope    `json:"scope,omitzero"`
	Lifetime samepage.Lifetime `json:"lifetime,omitzero"`
	// MaxSize is the largest size of a message in bytes: up to 4 GiB - 1, by default 4096.
	MaxSize int `json:"max_size"`
	// Pack is how many bytes of messages one pack has: MaxSize, rounded up to a multiple of 8, to
	// 4 GiB - 24. The default is 0: there are no packs. Packs are for very many small messages:
	// see Publisher.SendAll and Publisher.LoanBatch. Each message of a pack takes its size, rounded
	// up to a multiple of 8, and 4 bytes more if the pack has messages of different sizes.
	Pack int `json:"pack,omitempty"`
	// Depth is the history kept for late subscribers, in messages of each publisher: 1 to 524288.
	// The default is as many as have 64 KiB, but at least 8 and at most 64; and 3 if MaxSize or Pack
	// is more than 1 MiB. A reliable subscriber may be at
	// least Depth messages behind before the publisher waits for it. In a topic with packs the
	// history has Depth packs, so it has at least Depth messages, and it takes the memory of Depth
	// full packs. The same is true for how far a subscriber may be behind.
	Depth int `json:"depth"`
	// Publishers is the largest number of publishers at a time: 1 to 64, by default 1.
	Publishers int `json:"publishers"`
	// Members is the largest number of publishers and subscribers together at a time: 1 to 1024,
	// by default 16. They take memory when they join, see InUse.
	Members int `json:"members"`
	// Holds is the largest number of messages that each subscriber may hold: up to 1023, by
	// default 0. A message takes memory when it is held. It keeps the whole pack that it is in.
	Holds int `json:"holds"`
	// Loans is the largest number of messages that each publisher may have on loan at a time: 1 to
	// 65536, by default 2. A Batch counts as one message. Each after the first takes memory when it
	// is on loan.
	Loans int `json:"loans"`
	// EvictAfter is how long a reliable subscriber may make a publisher wait. After this time the
	// publisher evicts it. 0 means that subscribers are never evicted. If EvictAfter is set, each
	// message costs subscribers some nanoseconds more.
	EvictAfter time.Duration `json:"evict_after,omitempty"`
	// Checksums adds a CRC-32C of the bytes to each message. Subscribers check it.
	Checksums bool `json:"checksums,omitempty"`
	// Times adds the time of publication to each message.
	Times bool `json:"times,omitempty"`
	// NamedReaders is the largest number of names of subscribers, see SubscriberOptions.Reader: up to
	// 1024, by default 0. A name takes 128 bytes, or more if there are more than 14 Publishers. It
	// keeps its place as long as the topic exists.
	NamedReaders int `json:"named_readers,omitempty"`
	// AsItIs makes OpenOrCreatePublisher accept a topic that exists with other options, except one
	// with a smaller MaxSize.
	AsItIs bool `json:"as_it_is,omitempty"`
	// Schema is the description of a Go type that the program does not have: Subscriber.Schema of
	// another topic, for example. Then a Publisher publishes the bytes of values of this type, and
	// MaxSize is the size of the type. Each message must have this size: other sizes are an error for
	// a SubscriberOf. Publishers of a Go type do not use Schema.
	Schema string `json:"schema,omitempty"`

	Perm               fs.FileMode `json:"perm,omitzero"`
	SecurityDescriptor string      `json:"security_descriptor,omitempty"`
	Owner              string      `json:"owner,omitempty"`
}

// settings returns the settings of the lanes.
func (o *Options) settings() *lane.Settings {
	or := func(v, d int) int {
		if v == 0 {
			return d
		}
		return v
	}
	size := or(o.MaxSize, 4096)
	depth := min(max((64<<10)/max(size, o.Pack, 1), 8), 64)
	if max(size, o.Pack) > 1<<20 {
		depth = 3
	}
	s := &lane.Settings{
		Lanes: or(o.Publishers, 1), Depth: or(o.Depth, depth), MaxSize: int64(size), Pack: int64(o.Pack), Readers: or(o.Members, 16),
		Holds: o.Holds, Loans: or(o.Loans, 2), EvictAfter: int64(o.EvictAfter), Named: o.NamedReaders,
	}
	if o.Checksums {
		s.Flags |= layout.LaneChecksum
	}
	if o.Times {
		s.Flags |= layout.LaneTime
	}
	return s
}

// Size returns the number of bytes of shared memory that a topic with these options takes at most:
// with all its members, and if all of them hold as many messages as they may. On Windows this is
// what the system commits when the topic is made, but it takes physical memory only for what is in
// use. A topic of a Go type takes the bytes of Schema more: set Schema to count them. See InUse.
//
// Errors: fs.ErrInvalid, if an option is out of range.
func (o *Options) Size() (int64, error) {
	p, err := o.plan(nil)
	if err != nil {
		return 0, fmt.Errorf("pubsub: %w", err)
	}
	return p.Size(), nil
}

// InUse returns the number of bytes of shared memory that such a topic takes while it has so many
// publishers and best-effort subscribers, and nobody holds a message. Reliable subscribers take
// memory only if EvictAfter is set. Each message that is held takes one more of MaxSize.
//
// The memory is reserved by whoever joins, holds or takes on loan, and it stays reserved for the
// next one until the topic is removed.
//
// Errors: fs.ErrInvalid, if an option is out of range.
func (o *Options) InUse(publishers, subscribers int) (int64, error) {
	p, err := o.plan(nil)
	if err != nil {
		return 0, fmt.Errorf("pubsub: %w", err)
	}
	return p.InUse(publishers, subscribers), nil
}

func (o *Options) plan(ty *layout.Type) (*laneseg.Plan, error) {
	if o == nil {
		o = &Options{}
	}
	ty, err := option.TypeOr(ty, o.Schema)
	if err != nil {
		return nil, err
	}
	if ty != nil {
		sized := *o
		sized.MaxSize = ty.Size
		o = &sized
	}
	if err := option.AtLeast("EvictAfter", o.EvictAfter, 0); err != nil {
		return nil, err
	}
	if err := option.Named(layout.Scope(o.Scope), layout.Lifetime(o.Lifetime), o.Perm); err != nil {
		return nil, err
	}
	c, of, err := o.settings().Config()
	if err != nil {
		return nil, err
	}
	p := &laneseg.Plan{Kind: layout.Topic, Config: c, Offsets: of, Type: ty}
	return p, p.Check()
}

// unset returns an error if an option is set that is for a new topic only.
func (o *Options) unset() error {
	return option.OnlyCreate(o, "Lifetime", "MaxSize", "Pack", "Depth", "Publishers", "Members", "Holds", "Loans", "EvictAfter",
		"Checksums", "Times", "NamedReaders", "Perm", "SecurityDescriptor")
}

// spec returns the name, place and rights of the topic.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Topic, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// optionsOf returns the options that a topic was created with, as far as its settings have them.
func optionsOf(c *layout.LaneConfig) Options {
	return Options{
		MaxSize: int(c.Largest()), Pack: int(c.Pack), Depth: int(c.Entries - c.Step), Publishers: int(c.Lanes), Members: int(c.Readers),
		Holds: int(c.Pins) - 1, Loans: int(c.Loans), EvictAfter: time.Duration(c.EvictAfter),
		Checksums: c.Flags&layout.LaneChecksum != 0, Times: c.Flags&layout.LaneTime != 0, NamedReaders: int(c.Named),
	}
}

// Differs compares o with the options of a topic that exists. Only the fields MaxSize to
// NamedReaders of o that are set count. MaxSize, Publishers, Members, Holds, Loans and
// NamedReaders of the topic must be at least as large, and its other options the same.
//
// Errors: samepage.ErrDiffers, with each difference; it also matches ErrTooLarge if the MaxSize of
// the topic is too small.
func (o *Options) Differs(is Options) error {
	return option.Differ(*o, is, []string{"MaxSize", "Publishers", "Members", "Holds", "Loans", "NamedReaders"},
		[]string{"Pack", "Depth", "EvictAfter", "Checksums", "Times"})
}

// From says where a subscriber begins.
type From int

const (
	FromOldest From = iota // with the oldest message of the history
	// FromNewest: with the newest message. If messages are published meanwhile, it may be an earlier
	// one of the same pack.
	FromNewest
	FromNow // with the next message that is published
)

func (f From) String() string {
	switch f {
	case FromOldest:
		return "oldest"
	case FromNewest:
		return "newest"
	case FromNow:
		return "now"
	}
	return fmt.Sprintf("from %d", int(f))
}

// MarshalText returns the name of f: "oldest", "newest" or "now".
func (f From) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (f *From) UnmarshalText(b []byte) error {
	for _, v := range []From{FromOldest, FromNewest, FromNow} {
		if v.String() == string(b) {
			*f = v
			return nil
		}
	}
	return fmt.Errorf("%q is not one of oldest, newest, now", b)
}

func (f From) lane() (uint64, error) {
	switch f {
	case FromOldest:
		return lane.Oldest, nil
	case FromNewest:
		return lane.Newest, nil
	case FromNow:
		return lane.Now, nil
	}
	return 0, option.OneOf("From", f, FromOldest, FromNewest, FromNow)
}

// SubscriberOptions say how a subscriber reads. The zero value, and nil, mean the default of each
// field. Scope and Owner are the same as in samepage.Options.
type SubscriberOptions struct {
	Scope samepage.Scope
	From  From
	// At has the number of the first message for each publisher's place, see Message.Publisher. A
	// place for which At has no number, or 0, begins at From. If such a message does not exist any
	// more, the subscriber begins with the oldest one, and Message.Missed tells how many are gone. If
	// it does not exist yet, the subscriber begins with the next message that is published.
	At []uint64
	// Reader is a name for this subscriber. It begins after the last message that a subscriber of this
	// name has acknowledged, see Subscriber.Acknowledge; From and At are only for a name that has
	// acknowledged nothing. So a process that dies and comes again goes on where it was. Publishers
	// do not wait for a name without a subscriber: what is no longer in the history is missed. The
	// topic must have NamedReaders.
	Reader string
	// BestEffort: publishers do not wait for the subscriber, so it misses messages if it is slow.
	// The default is reliable: publishers wait, and it misses nothing.
	BestEffort bool
	Owner      string
}
