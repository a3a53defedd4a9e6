package doctor

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Facts returns what this machine has for shared memory.
func Facts() []Fact {
	return []Fact{
		versionFact(),
		{Name: "session", Value: fmt.Sprint(store.Session()), OK: true, Note: "local names are this session's and this user's"},
		dirFact(layout.Local),
		dirFact(layout.Global),
		privilegeFact(),
		commitFact(),
	}
}

func versionFact() Fact {
	v := windows.RtlGetVersion()
	f := Fact{Name: "system", Value: fmt.Sprintf("Windows %d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber), OK: true}
	if wine := wineVersion(); wine != "" {
		f.Value = "Wine " + wine + " as " + f.Value
		f.Note = "Wine sets no space aside for memory: running out of it faults"
	}
	return f
}

func privilegeFact() Fact {
	f := Fact{Name: "SeCreateGlobalPrivilege", Value: "held", OK: true}
	switch err := store.CheckPrivilege(layout.Global); {
	case errors.Is(err, syserr.ErrPrivilege):
		f.Value, f.Note = "missing", "only global names need it, and only to be made; administrators and services have it"
	case err != nil:
		f.Value, f.OK, f.Note = "unknown", false, err.Error()
	}
	return f
}

func commitFact() Fact {
	total, free, err := commitLimit()
	if err != nil {
		return Fact{Name: "memory and page file", Value: "unknown", Note: err.Error()}
	}
	f := Fact{Name: "memory and page file", Value: fmt.Sprintf("%d MiB, %d MiB free", total>>20, free>>20), OK: free > 64<<20}
	if !f.OK {
		f.Note = "new objects will fail for lack of space"
	}
	return f
}

// dirFact checks the directory of a scope, and whether files can be made there. If the directory is
// missing, it checks the directory above.
func dirFact(s layout.Scope) Fact {
	f := Fact{Name: s.String() + " directory", Value: store.Where(s), OK: true}
	at := store.Where(s)
	d, err := store.Open(s, false)
	switch {
	case err == nil:
		d.Close()
	case errors.Is(err, fs.ErrNotExist):
		f.Note = "it will be made when it is needed"
		at = store.Root(s)
	default:
		f.place(err)
		return f
	}
	if s == layout.Global && at != store.Where(s) {
		return f // whether this user may make it depends on the privilege
	}
	h, err := store.Probe(at, nil)
	if err != nil {
		var cause windows.Errno
		if errors.As(err, &cause) {
			err = store.Unmade(s, at, cause)
		}
		f.place(err)
		return f
	}
	_ = windows.CloseHandle(h)
	return f
}
