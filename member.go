package samepage

import "time"

// Member describes one member of a lock, an event, a topic or a cell, as its process has written
// it into the object's member table. A process that has opened the object three times is three
// members. Packages ipcsync, pubsub and cell add what their members do.
type Member struct {
	PID    int       `json:"pid"`
	Name   string    `json:"name"` // of the program
	Joined time.Time `json:"joined"`
	// Alive: the member holds the lock on its place in the table. If not, its process has died,
	// and the next member that needs it takes back what it held.
	Alive bool `json:"alive"`
	// Foreign: PID belongs to another pid namespace, such as that of a container. In the caller's
	// namespace the same number means another process, or none.
	Foreign bool `json:"other_pid_namespace,omitempty"`
	// Ended: the process of the member has ended, but a child process has inherited the
	// descriptor, which still holds the member's place.
	Ended bool `json:"ended,omitempty"`
	// Waits: the member sleeps until the object changes.
	Waits bool `json:"waits,omitempty"`
	// Since is when the member began to wait, by the clock of its process. It is zero if the member
	// does not wait, or if that is not known.
	Since time.Time `json:"waits_since,omitzero"`
}

// InspectOptions say which object the Inspect functions of ipcsync, pubsub and cell read. nil
// means the zero value.
type InspectOptions struct {
	// Scope is the scope of the name, unless the name has a prefix. Default Local.
	Scope Scope
	// Owner is the user whose object is accepted; see Options.Owner.
	Owner string
}
