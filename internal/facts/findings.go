package facts

import (
	"errors"
	"io/fs"

	"samepage/internal/sys/syserr"
)

// The kinds of Findings. The words are for programs, and stable.
const (
	Unused     = "unused"
	Dead       = "dead-members"
	Dirty      = "dirty"
	Full       = "full"
	Unreadable = "unreadable"
	InTheWay   = "in-the-way"
	NameGone   = "name-gone"
)

// Finding is something worth telling of one object. OK: it is harmless.
type Finding struct {
	What    string
	Object  *Object
	OK      bool
	Members []Member // the dead ones, or the blockers
	Mend    string   // a command that mends it, empty if there is none
	Note    string   // of Unreadable: what the system says
}

// Findings are what is worth telling of an object.
func (o *Object) Findings() (all []Finding) {
	if o.Err != nil {
		f := Finding{What: Unreadable, Object: o}
		f.Note, f.Mend = syserr.Mend(o.Err)
		// Another user's, which only he and root may see, is in order.
		f.OK = f.Mend == "" && errors.Is(o.Err, fs.ErrPermission)
		return append(all, f)
	}
	st := o.State
	if st == nil {
		return nil
	}
	if st.Dirty {
		all = append(all, Finding{What: Dirty, Object: o})
	}
	if st.Full() {
		all = append(all, Finding{What: Full, Object: o})
	}
	if len(st.Blockers) > 0 {
		all = append(all, Finding{What: InTheWay, Object: o, OK: true, Members: st.Blockers})
	}
	if dead := st.Dead(); len(dead) > 0 {
		all = append(all, Finding{What: Dead, Object: o, OK: true, Members: dead})
	}
	return all
}
