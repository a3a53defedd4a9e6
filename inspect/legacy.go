package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"

	"samepage"
	"samepage/internal/sys"
	"samepage/layout"
	"samepage/legacy/baseimage"
	"samepage/legacy/earseimage"
	"samepage/legacy/sharememory"
	"samepage/legacy/text"
)

// Legacy is what a bystander can tell of a section of an existing C++ program, or of a Go program
// that takes its place (docs/legacy.md). Any program that has the section open can change it.
type Legacy struct {
	System string // "BaseImage", "EarseImage", "ShareMemory" or "Text", as in docs/legacy.md
	// Of is the state that the package of the system returns: *baseimage.State, *earseimage.State,
	// *sharememory.State or *text.State. It also says if something is wrong in the section.
	Of  fmt.Stringer
	Err error // why the section could not be read; Of is nil then
}

// String says in a few words what the section has.
func (l *Legacy) String() string {
	if l.Err != nil {
		return fmt.Sprintf("legacy %s: %v", l.System, l.Err)
	}
	return fmt.Sprintf("legacy %s: %v", l.System, l.Of)
}

func legacyOf[T fmt.Stringer](system string, s T, err error) *Legacy {
	if err != nil {
		return &Legacy{System: system, Err: err}
	}
	return &Legacy{System: system, Of: s}
}

// legacies inspect the sections of existing programs, by their names. The sections of ShareMemory
// are missing: their names contain names that users have chosen.
var legacies = map[string]func() *Legacy{
	"BaseImage": func() *Legacy {
		s, err := baseimage.Inspect("")
		return legacyOf("BaseImage", s, err)
	},
	"EaresImageSharedMemory": func() *Legacy {
		s, err := earseimage.Inspect()
		return legacyOf("EarseImage", s, err)
	},
	text.DefaultName: func() *Legacy {
		s, err := text.Inspect("")
		return legacyOf("Text", s, err)
	},
}

// LegacyOf looks at a section of an existing C++ program, or of a Go program that takes its place.
// It opens the section for a moment, for reading. It returns nil if the name of the object is not
// one that these programs use by default. On Windows they use exact names only; elsewhere none.
func LegacyOf(i samepage.Info) *Legacy {
	if i.Kind != samepage.KindMemory || i.Scope != samepage.Local || i.Exact != (runtime.GOOS == "windows") || i.Err != nil {
		return nil
	}
	if name, l, ok := sharememory.BlockOf(i.Name); ok {
		s, err := sharememory.Inspect(name, l)
		return legacyOf("ShareMemory", s, err)
	}
	if look := legacies[i.Name]; look != nil {
		return look()
	}
	return nil
}

// legacySections describes the sections with exact names that existing C++ programs use, on
// Windows. samepage.List does not list exact names. Objects elsewhere (SAMEPAGE_DIR) have nothing to
// do with these sections: so tests see only what they have made.
func legacySections() (all []samepage.Info) {
	if os.Getenv("SAMEPAGE_DIR") != "" {
		return nil
	}
	names, err := sys.Sections(layout.Local)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // not Windows
	}
	if err != nil {
		names = slices.Collect(maps.Keys(legacies)) // the names of ShareMemory stay unknown
	}
	for _, name := range names {
		if _, _, ok := sharememory.BlockOf(name); !ok && legacies[name] == nil {
			continue
		}
		i, err := samepage.Stat(name, &samepage.Options{Exact: true, Owner: "*"})
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			i = samepage.Info{Name: name, Exact: true, Err: err}
		}
		all = append(all, i)
	}
	return all
}
