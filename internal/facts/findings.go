package facts

import (
	"errors"
	"io/fs"

	"samepage/internal/sys/syserr"
)

// These are the kinds of Findings. The words are for programs, and do not change.
const (
	Unused     = "unused"
	Dead       = "dead-members"
	Dirty      = "dirty"
	Full       = "full"
	Unreadable = "unreadable"
	InTheWay   = "in-the-way"
	NameGone   = "name-gone"
)

// Finding is a fact about one object that should be reported. If OK is true, it is harmless.
type Finding struct {
	What    string
	Object  *Object
	OK      bool
	Members []Member // the dead members, or the blockers
	Mend    string   // a command that repairs it, or empty
	Note    string   // of Unreadable: the error of the system
}

// Findings are the facts about an object that should be reported.
func (o *Object) Findings() (all []Finding) {
	if o.Err != nil {
		f := Finding{What: Unreadable, Object: o}
		f.Note, f.Mend = syserr.Mend(o.Err)
		// It is normal that only root and its owner can read another user's object.
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
