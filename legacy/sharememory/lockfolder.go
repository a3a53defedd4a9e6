package sharememory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"samepage"
	"samepage/internal/option"
	"samepage/internal/sys"
	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
)

// FileLockOptions say where the files of a lock are. The zero value, and nil, mean the
// default of each field.
type FileLockOptions struct {
	// Dir is the folder of the lock files. All programs that use the lock must have the
	// same one, and it must be on this machine. NewFileLock and the program that makes a
	// block also make the folder if it is missing; OpenReader and OpenWriter do not.
	// Default: on Windows rwfilelock in the folder for temporary files, where the C++
	// programs have it; on other systems rwfilelock in the directory for shared memory of
	// this user.
	Dir string
	// Boot is the time of boot with which the names of the lock files begin in layout Head,
	// in seconds since 1970. Default: what the system says now. That value changes when
	// somebody sets the clock. Then programs that started before the change and programs that
	// started after it have different lock files, and do not lock each other out. To prevent
	// this, give all of them the same Boot.
	Boot int64
}

// BootUnknown as FileLockOptions.Boot means that the names of the lock files begin with 0. The C++
// programs use 0 if they cannot find out the time of boot.
const BootUnknown = -1

const lockFolder = "rwfilelock"

// folder finds the folder of the lock files. It makes the default folder always, another
// one only with makeDir.
func (o *FileLockOptions) folder(makeDir bool) (dir string, err error) {
	if o == nil || o.Dir == "" {
		if dir, err = sys.LockFolder(lockFolder); err != nil {
			return "", err
		}
	} else {
		if dir, err = filepath.Abs(o.Dir); err != nil {
			return "", err
		}
		// Refuse a folder on another machine before anything is made there.
		for above := dir; ; above = filepath.Dir(above) {
			if err := refuseRemote(above); err == nil || above == filepath.Dir(above) {
				break
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		if !makeDir {
			// The program that is waited for may make the folder. If the folder above is
			// missing too, the path is wrong.
			_, err := os.Stat(filepath.Dir(dir))
			return dir, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	return dir, refuseRemote(dir)
}

// remoteDir is replaced by tests, which have no other machine.
var remoteDir = store.Remote

// refuseRemote refuses a folder on another machine. It depends on both machines whether they
// respect the share modes and locks of each other, and a program cannot find it out.
func refuseRemote(dir string) error {
	what, err := remoteDir(dir)
	if err == nil && what != "" {
		err = fmt.Errorf("the folder %s of the lock files is on another machine (%s): %w", dir, what, errors.ErrUnsupported)
	}
	return err
}

// check refuses values that are out of range. Errors: fs.ErrInvalid.
func (o *FileLockOptions) check() error {
	if o == nil || o.Boot >= BootUnknown {
		return nil
	}
	return option.Bad("Boot", o.Boot, "seconds since 1970, 0 or BootUnknown")
}

// boot returns the time of boot for the names of lock files.
func (o *FileLockOptions) boot() (int64, error) {
	switch {
	case o == nil || o.Boot == 0:
		return lockfile.BootSeconds()
	case o.Boot == BootUnknown:
		return 0, nil
	}
	return o.Boot, o.check()
}

// checkFolder reports whether the folder of the lock files exists. A program that opens a
// block must not make a folder of its own: it would be alone with its lock there. Errors:
// samepage.ErrStore.
func (l *FileLock) checkFolder() error {
	dir := filepath.Dir(l.rlc)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: folder of the lock files: %w (the program that made the block uses another folder)", samepage.ErrStore, syserr.OnlyNumber(err))
	}
	return nil
}

// maxFileName is the length of the longest name of a lock, in bytes.
const maxFileName = 200

// checkFileName refuses a name that a file cannot have on every system. The C++ programs
// replace such characters by others, so that two names can have one lock.
func checkFileName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", samepage.ErrName)
	case len(name) > maxFileName:
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed", samepage.ErrName, len(name), maxFileName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not UTF-8", samepage.ErrName)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`:\/*?"<>|`, r) || utf16.IsSurrogate(r) {
			return fmt.Errorf("%w: the name of a file cannot contain %q", samepage.ErrName, r)
		}
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return fmt.Errorf("%w: the name of a file cannot end with %q", samepage.ErrName, last)
	}
	device, _, _ := strings.Cut(name, ".")
	if isDevice(strings.ToUpper(strings.TrimRight(device, " "))) {
		return fmt.Errorf("%w: %q is a device on Windows", samepage.ErrName, device)
	}
	return nil
}

func isDevice(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(name, port); ok {
			return n != "" && strings.Contains("0123456789¹²³", n) && utf8.RuneCountInString(n) == 1
		}
	}
	return false
}

// CleanFileLocks removes the lock files of earlier boots in layout Head, and returns the
// names of the files that it has removed. These are the files BOOT_SMLF-NAME.mdb.rlc and
// .wlc where BOOT is a number other than the present time of boot. The time of boot changes
// when somebody sets the clock, so CleanFileLocks does not remove a file that a process has
// open. It removes nothing if opts.Boot is BootUnknown, or if the system does not know the
// time of boot.
//
// Errors: those of NewFileLock, and those of removing the files, joined.
func CleanFileLocks(opts *FileLockOptions) (removed []string, err error) {
	removed, err = cleanFileLocks(opts)
	if err != nil {
		return removed, fmt.Errorf("sharememory: clean lock files: %w", err)
	}
	return removed, nil
}

func cleanFileLocks(opts *FileLockOptions) (removed []string, err error) {
	boot, err := opts.boot()
	if boot == 0 || err != nil {
		return nil, err
	}
	dir, err := opts.folder(false)
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody has locked there
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !ofOtherBoot(e.Name(), boot) {
			continue
		}
		switch rerr := lockfile.Remove(filepath.Join(dir, e.Name())); {
		case rerr == nil:
			removed = append(removed, e.Name())
		case errors.Is(rerr, samepage.ErrBusy), errors.Is(rerr, fs.ErrNotExist):
		default:
			err = errors.Join(err, rerr)
		}
	}
	return removed, err
}

// ofOtherBoot says whether a file is a lock file whose time of boot is not the given one.
func ofOtherBoot(file string, boot int64) bool {
	number, rest, ok := strings.Cut(file, "_")
	if !ok || !strings.HasPrefix(rest, headLock) || !strings.HasSuffix(rest, readerSuffix) && !strings.HasSuffix(rest, writerSuffix) {
		return false
	}
	for _, r := range number {
		if r < '0' || r > '9' {
			return false
		}
	}
	return number != "" && number != strconv.FormatInt(boot, 10)
}
