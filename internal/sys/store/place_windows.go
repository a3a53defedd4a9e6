package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file finds out what is wrong with the directories, and the one command by which the user of
// this process repairs it. The errors of Open and the facts of package doctor come from here. No
// command removes files that others may use.

// asAdministrator returns the command by which this user runs a command as an administrator.
func asAdministrator(cmd string) string {
	if windows.GetCurrentProcessToken().IsElevated() {
		return cmd
	}
	return "as administrator: " + cmd
}

// describe says what is at a path, and who owns it.
func describe(path string) string {
	what := "something"
	if st, err := os.Lstat(path); err == nil {
		switch m := st.Mode(); {
		case m&(fs.ModeSymlink|fs.ModeIrregular) != 0:
			what = "a link or another reparse point"
		case m.IsDir():
			what = "a directory"
		default:
			what = "a file"
		}
	}
	owner := "an unknown account"
	if sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION); err == nil {
		if sid, _, err := sd.Owner(); err == nil && sid != nil {
			owner = kernel.AccountName(sid)
		}
	}
	return fmt.Sprintf("%s is %s, owned by %s", path, what, owner)
}

// rootError says why the directory above the directories of this project cannot be used.
func rootError(at string) error {
	if _, err := os.Lstat(at); err != nil {
		return syserr.Mending(fmt.Errorf("%w: directory %s: %w", syserr.ErrStore, at, syserr.OnlyNumber(err)), "mkdir "+syserr.Quote(at))
	}
	cmd := "set SAMEPAGE_DIR="
	if movedDir() == "" {
		cmd = asAdministrator("ren " + syserr.Quote(at) + " " + syserr.Quote(filepath.Base(at)+".old"))
	}
	return syserr.Mending(fmt.Errorf("%w: %s, want a directory", syserr.ErrStore, describe(at)), cmd)
}

// Unmade says why nothing can be made in a directory.
func Unmade(s layout.Scope, at string, cause error) error {
	cause = syserr.Space(cause)
	switch {
	case errors.Is(cause, windows.ERROR_WRITE_PROTECT):
		return fmt.Errorf("%w: %s is on a volume that is write-protected: %w", syserr.ErrStore, at, cause)
	case !errors.Is(cause, fs.ErrPermission):
		return cause
	}
	grant := "icacls " + syserr.Quote(at) + " /grant "
	me, err := kernel.User()
	switch {
	case err != nil:
		return cause
	case s == layout.Global:
		grant = asAdministrator(grant + "*S-1-5-11:(RX,AD,WD)") // authenticated users
	default:
		grant += "*" + me.String() + ":(OI)(CI)F"
		if sd, err := windows.GetNamedSecurityInfo(at, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION); err == nil {
			if owner, _, err := sd.Owner(); err != nil || owner == nil || !owner.Equals(me) {
				grant = asAdministrator(grant)
			}
		}
	}
	return syserr.Mending(fmt.Errorf("%s, whose rights do not let this user make anything there: %w", describe(at), cause), grant)
}

// noDir explains why a directory of this project could not be opened.
func noDir(s layout.Scope, path string, cause error) error {
	if errors.Is(cause, fs.ErrPermission) {
		return Unmade(s, path, cause)
	}
	return &fs.PathError{Op: "open", Path: path, Err: cause}
}

// Verify checks that the directory is one, and who made it.
func (d *Dir) Verify() error {
	attributes, _, err := kernel.AttributesAndLinks(d.H)
	if err != nil {
		return &fs.PathError{Op: "stat", Path: d.Path, Err: err}
	}
	owner, err := kernel.OwnerOf(d.H, windows.SE_FILE_OBJECT)
	if err != nil {
		return fmt.Errorf("owner of directory %s: %w", d.Path, err)
	}
	const want, not = windows.FILE_ATTRIBUTE_DIRECTORY, windows.FILE_ATTRIBUTE_REPARSE_POINT
	if attributes&(want|not) != want {
		cmd := "del " + syserr.Quote(d.Path)
		if attributes&want != 0 {
			cmd = "rmdir " + syserr.Quote(d.Path) // of a link this removes only the link
		}
		if !kernel.Trusted(owner) {
			cmd = asAdministrator(cmd)
		}
		return syserr.Mending(fmt.Errorf("%s, want a plain directory: %w", describe(d.Path), fs.ErrPermission), cmd)
	}
	switch {
	case kernel.Trusted(owner):
		return nil
	case d.Scope == layout.Global:
		return syserr.Mending(fmt.Errorf("%s, want the administrators or the system: %w", describe(d.Path), syserr.ErrPrivilege),
			asAdministrator("icacls "+syserr.Quote(d.Path)+" /setowner *S-1-5-32-544"))
	}
	return syserr.Mending(fmt.Errorf("%s, want this user: %w", describe(d.Path), fs.ErrPermission),
		asAdministrator("ren "+syserr.Quote(d.Path)+" "+syserr.Quote(filepath.Base(d.Path)+".old")))
}
