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

// Options say how a topic is created. The zero value, and nil, mean the default of each
// field. Scope and Owner are as in samepage.Options, and are also for a topic that exists.
// The others are for a new topic only: OpenPublisher and AwaitPublisher refuse them.
//
// Lifetime, Perm and SecurityDescriptor are as in samepage.Options. Subscribers write their
// entry in the member table, too: with Perm 0644 nobody else may subscribe, with 0660 the
// group and with 0666 everybody may.
type Options struct {
	Scope    samepage.Scope    `json:"scope,omitzero"`
	Lifetime samepage.Lifetime `json:"lifetime,omitzero"`
	// MaxSize is how many bytes a message may have: up to 4 GiB - 1, by default 4096.
	// OpenOrCreatePublisher refuses a topic that exists with less.
	MaxSize int `json:"max_size"`
	// Depth is the history kept for late subscribers, in messages, and at least how far a
	// reliable subscriber may be behind before the publisher waits for it: 1 to 524288, by
	// default 64 for messages of up to 4 KiB, else 8.
	Depth int `json:"depth"`
	// Publishers is how many publishers there may be at a time: 1 to 64, by default 1.
	Publishers int `json:"publishers"`
	// Members is how many publishers and subscribers there may be at a time: 1 to 1024, by
	// default 16. That is less than the 64 of a lock, for each member costs the memory of a
	// message or two, and of each message that it may hold.
	Members int `json:"members"`
	// Holds is how many messages each subscriber may hold: up to 1023, by default none.
	Holds int `json:"holds"`
	// Loans is how many messages each publisher may have on loan at a time: 1 to 65536, by
	// default 2.
	Loans int `json:"loans"`
	// EvictAfter is how long a reliable subscriber may make a publisher wait before it is
	// evicted: 0 is for ever. In a topic with a limit each message costs subscribers some
	// nanoseconds more.
	EvictAfter time.Duration `json:"evict_after,omitempty"`
	// Checksums adds a CRC-32C of its bytes to each message, which subscribers check.
	Checksums bool `json:"checksums,omitempty"`
	// Times adds the time of its publication to each message.
	Times bool `json:"times,omitempty"`

	Perm               fs.FileMode `json:"perm,omitzero"`
	SecurityDescriptor string      `json:"security_descriptor,omitempty"`
	Owner              string      `json:"owner,omitempty"`
}

// settings are those of the lanes.
func (o *Options) settings() *lane.Settings {
	or := func(v, d int) int {
		if v == 0 {
			return d
		}
		return v
	}
	size := or(o.MaxSize, 4096)
	depth := 64
	if size > 4096 {
		depth = 8
	}
	s := &lane.Settings{
		Lanes: or(o.Publishers, 1), Depth: or(o.Depth, depth), MaxSize: int64(size), Readers: or(o.Members, 16),
		Holds: o.Holds, Loans: or(o.Loans, 2), EvictAfter: int64(o.EvictAfter),
	}
	if o.Checksums {
		s.Flags |= layout.LaneChecksum
	}
	if o.Times {
		s.Flags |= layout.LaneTime
	}
	return s
}

// Size is how many bytes of shared memory a topic with these options takes.
//
// Errors: fs.ErrInvalid, for options out of range.
func (o *Options) Size() (int64, error) {
	p, err := o.plan(nil)
	if err != nil {
		return 0, fmt.Errorf("pubsub: %w", err)
	}
	return p.Size(), nil
}

func (o *Options) plan(ty *layout.Type) (*laneseg.Plan, error) {
	if o == nil {
		o = &Options{}
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

// unset refuses options that only a new topic takes.
func (o *Options) unset() error {
	return option.OnlyCreate(o, "Lifetime", "MaxSize", "Depth", "Publishers", "Members", "Holds", "Loans", "EvictAfter",
		"Checksums", "Times", "Perm", "SecurityDescriptor")
}

// spec names the topic, and says where and for whom it is.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Topic, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// optionsOf are the options that a topic was created with, as far as they show.
func optionsOf(c *layout.LaneConfig) Options {
	return Options{
		MaxSize: int(c.MaxSize), Depth: int(c.Entries - c.Step), Publishers: int(c.Lanes), Members: int(c.Readers),
		Holds: int(c.Pins) - 1, Loans: int(c.Loans), EvictAfter: time.Duration(c.EvictAfter),
		Checksums: c.Flags&layout.LaneChecksum != 0, Times: c.Flags&layout.LaneTime != 0,
	}
}

// From says where a subscriber begins.
type From int

const (
	FromOldest From = iota // with the oldest message of the history
	FromNewest             // with the newest message
	FromNow                // with the next message that is published
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

// MarshalText gives the name of f.
func (f From) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (f *From) UnmarshalText(b []byte) error {
	for _, v := range []From{FromOldest, FromNewest, FromNow} {
		if v.String() == string(b) {
			*f = v
			return nil
		}
	}
	return fmt.Errorf("%q is none of oldest, newest, now", b)
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

// SubscriberOptions say how a subscriber reads. The zero value, and nil, mean the default
// of each field. Scope and Owner are as in samepage.Options.
type SubscriberOptions struct {
	Scope samepage.Scope
	From  From
	// BestEffort: no publisher waits for the subscriber, which misses messages when it is
	// slow. The default is reliable.
	BestEffort bool
	Owner      string
}
