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

// Options say how a topic is made, when a publisher is the first to open it. The
// zero value, and nil, mean the default of each field. Scope, Lifetime, Perm,
// SecurityDescriptor and Owner are as in samepage.Options, and also apply to a topic
// that exists. Subscribers write their place in the member table, too: Perm 0644 lets
// nobody subscribe, 0660 a group and 0666 everybody.
type Options struct {
	Scope    samepage.Scope    `json:"scope,omitzero"`
	Lifetime samepage.Lifetime `json:"lifetime,omitzero"`
	// MaxSize is how many bytes a message may have: up to 4 GiB - 1, by default
	// 4096. A topic that exists with less is refused.
	MaxSize int `json:"max_size"`
	// Depth is how many of the last messages a late subscriber can still have,
	// and at least how far a reliable one may lag behind before the publisher
	// waits for it: 1 to 524288, by default 64 for messages of up to 4 KiB, else 8.
	Depth int `json:"depth"`
	// Publishers is how many there may be at a time: 1 to 64, by default 1.
	Publishers int `json:"publishers"`
	// Members is how many publishers and subscribers there may be at a time: 1 to
	// 1024, by default 16.
	Members int `json:"members"`
	// Holds is how many messages each subscriber may hold, up to 1023: by default 1;
	// -1 is none.
	Holds int `json:"holds"`
	// Loans is how many messages each publisher may have on loan at a time: 1 to
	// 65536, by default 2.
	Loans int `json:"loans"`
	// EvictAfter is for how long a reliable subscriber may keep a publisher
	// waiting, before it is passed over: 0 is for ever. Subscribers of a topic
	// with a limit pay some nanoseconds more for each message.
	EvictAfter time.Duration `json:"evict_after,omitempty"`
	// Checksums has each message carry a CRC-32C of its bytes, which subscribers
	// check.
	Checksums bool `json:"checksums,omitempty"`
	// Times has each message carry the time at which it was published.
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
		Holds: or(o.Holds, 1), Loans: or(o.Loans, 2), EvictAfter: int64(o.EvictAfter),
	}
	if o.Holds == -1 {
		s.Holds = 0
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
	if err := option.AtLeast("Holds", o.Holds, -1); err != nil {
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

// spec names the topic, and says where and for whom it is.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Topic, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// optionsOf are the options that a topic was made with, as far as they show.
func optionsOf(c *layout.LaneConfig) Options {
	holds := int(c.Pins) - 1
	if holds == 0 {
		holds = -1
	}
	return Options{
		MaxSize: int(c.MaxSize), Depth: int(c.Entries - c.Step), Publishers: int(c.Lanes), Members: int(c.Readers),
		Holds: holds, Loans: int(c.Loans), EvictAfter: time.Duration(c.EvictAfter),
		Checksums: c.Flags&layout.LaneChecksum != 0, Times: c.Flags&layout.LaneTime != 0,
	}
}

// From says where a subscriber begins.
type From int

const (
	FromOldest From = iota // with the oldest message that is still there
	FromNewest             // with the newest one
	FromNow                // with the next one
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

// SubscriberOptions say how a subscriber reads. The zero value, and nil, mean the
// default of each field. Scope and Owner are as in samepage.Options.
type SubscriberOptions struct {
	Scope samepage.Scope
	From  From
	// BestEffort has the subscriber never keep a publisher waiting: it misses
	// messages when it is slow. The default is reliable.
	BestEffort bool
	Owner      string
}
