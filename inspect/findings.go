package inspect

import (
	"errors"
	"io/fs"

	"samepage/internal/sys/syserr"
)

// These are the kinds of Findings. The words do not change.
const (
	Unused     = "unused"       // no living process uses the object, and it does not persist
	Dead       = "dead-members" // members died with the object open
	Dirty      = "dirty"        // an owner died while holding the lock
	Full       = "full"         // living members have all places, so nobody else can join
	Unreadable = "unreadable"   // the object belongs to another user, or is damaged
	InTheWay   = "in-the-way"   // others wait for members of the object
	NameGone   = "name-gone"    // the name was removed while processes had the object open
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
	st := o.Detail
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
