package sharememory

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"samepage"
	"samepage/internal/option"
)

// Layout is one of the two layouts of a block. The names of their objects differ, so
// programs with one layout do not see the blocks of the other.
type Layout int

const (
	// Seed is the older layout. The section is ShareMemoryMap-NAME, the lock files are
	// ShareMemoryLockedFile-NAME.mdb.rlc and .wlc, and a zero byte follows the content. Its
	// C++ readers compute the checksum but do not compare it.
	Seed Layout = iota
	// Head is the newer layout. The section is SMM-NAME, the lock files are
	// BOOT_SMLF-NAME.mdb.rlc and .wlc, where BOOT is the time of boot, and nothing follows
	// the content.
	Head
)

// String returns "seed" or "head".
func (l Layout) String() string {
	switch l {
	case Seed:
		return "seed"
	case Head:
		return "head"
	}
	return "Layout(" + strconv.Itoa(int(l)) + ")"
}

// Options select the layout and the lock files of a block. The zero value, and nil, mean
// the older layout, with its lock files where the C++ programs have them.
type Options struct {
	// Layout is Seed or Head. Default: Seed.
	Layout Layout
	// Lock says where the lock files are.
	Lock FileLockOptions
	// Truncate lets Writer.Write cut a value that is too large for the block, as the C++
	// writer does, and return samepage.ErrTruncated. Default: Write refuses such a value.
	// Readers do not use it.
	Truncate bool
}

// names returns the names of the section and of the lock of a block.
func (o *Options) names(name string) (section, lock string, err error) {
	if section, err = o.Layout.section(name); err != nil || o.Layout == Seed {
		return section, seedLock + name + lockEnding, err
	}
	boot, err := o.Lock.boot()
	return section, strconv.FormatInt(boot, 10) + "_" + headLock + name + lockEnding, err
}

// section returns the name of the section of a block.
func (l Layout) section(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", samepage.ErrName)
	case l == Seed:
		return seedSection + name, nil
	case l == Head:
		return headSection + name, nil
	}
	return "", option.OneOf("Layout", l, Seed, Head)
}

// BlockOf returns the name and the layout of the block whose section has a name. ok is false if no
// section of a block has such a name.
func BlockOf(section string) (name string, l Layout, ok bool) {
	if name, ok = strings.CutPrefix(section, seedSection); ok {
		return name, Seed, name != ""
	}
	name, ok = strings.CutPrefix(section, headSection)
	return name, Head, ok && name != ""
}

// MarshalText gives "seed" or "head".
func (l Layout) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// exact: the section has the bare name that C++ programs know, on the system that has such
// programs.
const exact = runtime.GOOS == "windows"

func memoryOptions(a samepage.Access) *samepage.Options {
	return &samepage.Options{Exact: exact, Access: a}
}
