package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Each named object has a sidecar, a file with its layout.Record and the locks of its users:
//
//	%LOCALAPPDATA%\samepage\session-<n>\<kind>-<hash>.rec   Local
//	%ProgramData%\samepage\global\<kind>-<hash>.rec         Global
//
// The hash is the first 16 bytes of the SHA-256 of the name, because not every name can be the
// name of a file. An object may have a file of its own there, <kind>-<hash>.<random>.dat. If
// SAMEPAGE_DIR is set, the directories session-<n> and global are in it.

const (
	RecordSuffix = ".rec" // of a sidecar
	dataSuffix   = ".dat" // of an object's own file
	probeSuffix  = ".tmp" // of a file of Probe
)

// knownDir is a directory of the system, by an environment variable or by its id.
func knownDir(env string, id *windows.KNOWNFOLDERID) string {
	if d := os.Getenv(env); d != "" {
		return d
	}
	d, _ := windows.KnownFolderPath(id, 0)
	return d
}

// movedDir is SAMEPAGE_DIR with its drive, so that it stays the same directory.
func movedDir() string {
	d := os.Getenv("SAMEPAGE_DIR")
	if abs, err := filepath.Abs(d); err == nil && d != "" {
		return abs
	}
	return d
}

// BaseDir returns the directory that has the directories of the local scope.
func BaseDir() string {
	if d := movedDir(); d != "" {
		return d
	}
	return filepath.Join(knownDir("LOCALAPPDATA", windows.FOLDERID_LocalAppData), "samepage")
}

// Where returns the path of the directory of a scope.
func Where(s layout.Scope) string {
	if s == layout.Local {
		return filepath.Join(BaseDir(), "session-"+strconv.FormatUint(uint64(Session()), 10))
	}
	base := movedDir()
	if base == "" {
		base = filepath.Join(knownDir("ProgramData", windows.FOLDERID_ProgramData), "samepage")
	}
	return filepath.Join(base, "global")
}

// Root returns the directory that has the directories of the scope. It must exist already.
func Root(s layout.Scope) string {
	path := filepath.Dir(Where(s))
	if movedDir() == "" {
		path = filepath.Dir(path)
	}
	return path
}

// Session returns the session of this process.
var Session = sync.OnceValue(func() uint32 {
	var n uint32
	_ = windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &n)
	return n
})

// Dir is a verified directory. While it is open nobody can move it away.
type Dir struct {
	H     windows.Handle
	Path  string
	Scope layout.Scope
}

// Close closes the directory. It does nothing for a nil directory.
func (d *Dir) Close() {
	if d != nil {
		_ = windows.CloseHandle(d.H)
	}
}

// Open opens and verifies the directory of a scope. If it is missing, Open makes it when create
// is set; else the error matches fs.ErrNotExist.
//
// Errors: ErrStore, ErrPrivilege, fs.ErrPermission, fs.ErrNotExist.
func Open(s layout.Scope, create bool) (*Dir, error) {
	path := Where(s)
	if st, err := os.Stat(Root(s)); err != nil || !st.IsDir() {
		return nil, rootError(Root(s))
	}
	if create {
		if err := makeDir(s, path); err != nil {
			return nil, fmt.Errorf("make directory %s: %w", path, Unmade(s, Root(s), err))
		}
	}
	if base := filepath.Dir(path); s == layout.Global && base != Root(s) {
		// Its owner could exchange the files in it.
		b, err := openVerified(s, base)
		if err != nil {
			return nil, err
		}
		defer b.Close()
	}
	return openVerified(s, path)
}

func openVerified(s layout.Scope, path string) (*Dir, error) {
	h, err := kernel.CreateFile(path, windows.FILE_LIST_DIRECTORY|windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return nil, noDir(s, path, err)
	}
	d := &Dir{h, path, s}
	if err := d.Verify(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func makeDir(s layout.Scope, path string) error {
	me, err := kernel.User()
	if err != nil {
		return err
	}
	if base := filepath.Dir(path); base != Root(s) {
		if err := mkBase(s, base, me.String()); err != nil {
			return err
		}
	}
	return mkdir(path, dirSDDL(s, me.String()))
}

// mkdir makes a directory, unless it is there.
func mkdir(path, sddl string) error {
	sa, err := kernel.Attributes(sddl)
	if err != nil {
		return err
	}
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(p, sa); err != windows.ERROR_ALREADY_EXISTS {
		return err
	}
	return nil
}

// dirSDDL lets nobody else into a local directory. Everybody may add files to the global one, and
// delete only their own: 0x1200ab is list, add file, traverse, read attributes, synchronize and
// read control.
func dirSDDL(s layout.Scope, me string) string {
	if s == layout.Local {
		return "D:P(A;OICI;FA;;;" + me + ")(A;OICI;FA;;;SY)"
	}
	return "D:P(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICIIO;FA;;;CO)(A;;0x1200ab;;;AU)"
}

// mkBase makes the directory above. The local one is in the user's own directory, and has its
// rights. In the global one everybody may read the names, and only its maker, the administrators
// and the system may change them.
func mkBase(s layout.Scope, path, me string) error {
	if s == layout.Local {
		if err := os.Mkdir(path, 0o700); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}
	return mkdir(path, "D:P(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;"+me+")(A;;0x1200a9;;;AU)")
}

// EntryPath returns the path of the sidecar of a name.
func (d *Dir) EntryPath(k layout.Kind, name string) string {
	h := sha256.Sum256([]byte(name))
	return filepath.Join(d.Path, k.String()+"-"+hex.EncodeToString(h[:16])+RecordSuffix)
}

// DataPath makes up the path of an object's own file.
func DataPath(entry string, random layout.ID) string {
	return strings.TrimSuffix(entry, RecordSuffix) + "." + random.String() + dataSuffix
}

// IsDataOf says whether path may be the own file of the object whose sidecar is entry. If a record
// names another file as its own, the record is not trusted.
func IsDataOf(entry, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(entry, RecordSuffix)+".")
	id, isData := strings.CutSuffix(rest, dataSuffix)
	b, err := hex.DecodeString(id)
	return ok && isData && err == nil && len(b) == len(layout.ID{})
}

// EntryOf returns the path of the sidecar to which the file at path belongs.
func EntryOf(path string) (entry string, ok bool) {
	i := strings.LastIndexByte(strings.TrimSuffix(path, dataSuffix), '.')
	if i < 0 {
		return "", false
	}
	entry = path[:i] + RecordSuffix
	return entry, IsDataOf(entry, path)
}

// CheckOwner returns an error if an object has another owner than the wanted one: the name or SID
// of an account, or "*" for any. If wanted is empty, the owner must be this user, the system or the
// administrators. Without this check any user could take a name and pretend to be another user.
func CheckOwner(wanted string, h windows.Handle, t windows.SE_OBJECT_TYPE, what string) error {
	if wanted == "*" {
		return nil
	}
	owner, err := kernel.OwnerOf(h, t)
	if err != nil {
		return fmt.Errorf("owner of %s: %w", what, err)
	}
	if wanted == "" {
		if kernel.Trusted(owner) {
			return nil
		}
		return fmt.Errorf("%s is owned by %s, want this user, the administrators or the system; Owner (--owner) names another: %w",
			what, kernel.AccountName(owner), fs.ErrPermission)
	}
	want, err := windows.StringToSid(wanted)
	if err != nil {
		if want, _, _, err = windows.LookupSID("", wanted); err != nil {
			return fmt.Errorf("owner %q is neither an account's name nor a SID: %w", wanted, fs.ErrInvalid)
		}
	}
	if owner.Equals(want) {
		return nil
	}
	return fmt.Errorf("%s is owned by %s, want %s: %w", what, kernel.AccountName(owner), kernel.AccountName(want), fs.ErrPermission)
}

// newRights are the results of RightsOfNew.
var newRights sync.Map

// RightsOfNew returns owner and rights of a new file in the directory with the attributes sa, which
// sddl describes. It makes a file to find them out.
func (d *Dir) RightsOfNew(sddl string, sa *windows.SecurityAttributes) (string, error) {
	key := [2]string{d.Path, sddl}
	if v, ok := newRights.Load(key); ok {
		return v.(string), nil
	}
	h, err := Probe(d.Path, sa)
	if err != nil {
		return "", err
	}
	defer windows.CloseHandle(h)
	sd, err := kernel.SecurityOf(h, windows.SE_FILE_OBJECT)
	if err != nil {
		return "", fmt.Errorf("security descriptor of a new file in %s: %w", d.Path, err)
	}
	newRights.Store(key, sd.String())
	return sd.String(), nil
}

// Probe makes a file in a directory, which the system deletes when its handle is closed.
func Probe(dir string, sa *windows.SecurityAttributes) (windows.Handle, error) {
	id, err := kernel.RandomID()
	if err != nil {
		return 0, err
	}
	path := filepath.Join(dir, id.String()+probeSuffix)
	h, err := kernel.CreateFile(path, windows.READ_CONTROL|windows.DELETE, 0, sa, windows.CREATE_NEW, windows.FILE_FLAG_DELETE_ON_CLOSE)
	if err != nil {
		return 0, &fs.PathError{Op: "create", Path: path, Err: syserr.Space(err)}
	}
	return h, nil
}

// CheckPrivilege refuses a new global object if the kernel would refuse its section to this
// process. Session 0, the session of the services, needs no privilege. Errors: ErrPrivilege.
func CheckPrivilege(s layout.Scope) error {
	if s != layout.Global || Session() == 0 {
		return nil
	}
	has, err := kernel.HasPrivilege("SeCreateGlobalPrivilege")
	if err != nil || has {
		return err
	}
	return fmt.Errorf("a global object needs SeCreateGlobalPrivilege, which administrators and services have: %w", syserr.ErrPrivilege)
}

// IsProbe says whether a file was made by Probe. Such a file stays only if the machine stops.
func IsProbe(name string) bool {
	id, ok := strings.CutSuffix(name, probeSuffix)
	b, err := hex.DecodeString(id)
	return ok && err == nil && len(b) == len(layout.ID{})
}
