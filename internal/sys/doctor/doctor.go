// Package doctor reports what this machine has for shared memory, what is wrong with it, and which
// command repairs it. It also finds objects whose name was removed while processes use them.
package doctor

import (
	"samepage/layout"
)

// Fact is one fact about the machine.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	OK    bool   `json:"ok"`
	Mend  string `json:"mend,omitempty"` // a command that repairs it
	Note  string `json:"note,omitempty"`
}

// Removed is an object that processes have open, but whose name was removed.
type Removed struct {
	Name      string // empty: not known
	Kind      layout.Kind
	Scope     layout.Scope
	Path      string // where it was
	Processes []Program
}

// Program is a process and the name of its program.
type Program struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}
