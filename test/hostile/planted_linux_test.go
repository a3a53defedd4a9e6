package hostile

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
)

// What is planted where objects live is refused, with its owner named, and not
// touched.

func localDir(base string) string { return fmt.Sprintf("%s/samepage-%d", base, os.Geteuid()) }

func me() string { return fmt.Sprintf("uid %d", os.Geteuid()) }

func TestPlantedDirectories(t *testing.T) {
	elsewhere := ipctest.Dir(t)
	for what, plant := range map[string]func(path string) error{
		"symbolic link": func(p string) error { return os.Symlink(elsewhere, p) },
		"regular file":  func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"named pipe":    func(p string) error { return unix.Mkfifo(p, 0o600) },
		"mode 0777":     func(p string) error { return mkdirMode(p, 0o777) },
		"mode 0750":     func(p string) error { return mkdirMode(p, 0o750) },
	} {
		base := ipctest.Store(t)
		ipctest.NoErr(t, plant(localDir(base)))
		_, err := samepage.Create("x", 100, nil)
		ipctest.WantErr(t, err, fs.ErrPermission, what, me(), localDir(base))
		_, err = samepage.Open("x", nil)
		ipctest.WantErr(t, err, fs.ErrPermission, what, me())
		_, err = samepage.List()
		ipctest.WantErr(t, err, fs.ErrPermission, what)
	}
	if entries := must(os.ReadDir(elsewhere))(t); len(entries) != 0 {
		t.Errorf("a planted link led to %v", entries)
	}
}

func mkdirMode(p string, mode os.FileMode) error {
	if err := os.Mkdir(p, mode); err != nil {
		return err
	}
	return os.Chmod(p, mode)
}

func TestPlantedDirectoryOfAnotherUser(t *testing.T) {
	base := ipctest.Store(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	ipctest.NoErr(t, os.Mkdir(localDir(base), 0o700))
	ipctest.NoErr(t, os.Chown(localDir(base), 65534, 65534))
	_, err := samepage.Create("x", 100, nil)
	ipctest.WantErr(t, err, fs.ErrPermission, "nobody (uid 65534)", "root (uid 0)")

	ipctest.NoErr(t, os.Mkdir(base+"/samepage", 0o777))
	ipctest.NoErr(t, os.Chmod(base+"/samepage", 0o777|os.ModeSticky))
	ipctest.NoErr(t, os.Chown(base+"/samepage", 65534, 65534))
	_, err = samepage.Create(`Global\x`, 100, nil)
	ipctest.WantErr(t, err, samepage.ErrPrivilege, "nobody", "install -d")
	ipctest.NoErr(t, os.Chown(base+"/samepage", 0, 0))
	ipctest.NoErr(t, os.Chmod(base+"/samepage", 0o777)) // without the sticky bit anybody removes anything
	_, err = samepage.Create(`Global\x`, 100, nil)
	ipctest.WantErr(t, err, samepage.ErrPrivilege, "0777", "01777")
}

func TestPlantedEntries(t *testing.T) {
	base := ipctest.Store(t)
	closeMem(t, create(t, "first", 100, nil)) // makes the directory
	path := localDir(base) + "/memory.x"
	target := filepath.Join(ipctest.Dir(t), "target")
	ipctest.NoErr(t, os.WriteFile(target, []byte("precious"), 0o600))
	for what, plant := range map[string]func() error{
		"symbolic link":    func() error { return os.Symlink(target, path) },
		"dangling":         func() error { return os.Symlink("/nowhere", path) },
		"directory":        func() error { return os.Mkdir(path, 0o700) },
		"named pipe":       func() error { return unix.Mkfifo(path, 0o600) },
		"socket":           func() error { return plantSocket(path) },
		"2 hard links":     func() error { return hardLink(base, path) },
		"character device": func() error { return unix.Mknod(path, unix.S_IFCHR|0o600, 1<<8|5) },
	} {
		if err := plant(); err != nil {
			if what == "character device" {
				continue // not to be made here
			}
			t.Fatal(what, err)
		}
		// Were it to wait for what is planted, it would be for longer than tests wait.
		begun := time.Now()
		_, err := samepage.Open("x", nil)
		ipctest.WantErr(t, err, fs.ErrPermission, me(), path)
		_, err = samepage.Create("x", 100, nil)
		ipctest.WantErr(t, err, fs.ErrPermission, me(), path)
		_, err = samepage.Stat("x", nil)
		ipctest.WantErr(t, err, fs.ErrPermission)
		ipctest.WantErr(t, samepage.Remove("x", nil), fs.ErrPermission)
		if d := time.Since(begun); d > ipctest.Patience {
			t.Errorf("%s: it took %v, so something blocked", what, d)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: it was removed", what)
		}
		ipctest.NoErr(t, os.Remove(path))
	}
	if b := must(os.ReadFile(target))(t); string(b) != "precious" {
		t.Errorf("the target of a planted link now has %q", b)
	}
}

func plantSocket(path string) error {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		l.SetUnlinkOnClose(false)
		err = l.Close()
	}
	return err
}

func hardLink(base, path string) error {
	other := base + "/other"
	if err := os.WriteFile(other, []byte("other"), 0o600); err != nil && !os.IsExist(err) {
		return err
	}
	return os.Link(other, path)
}

// A record, where a name stands for a file, is hostile as well.
func TestHostileRecord(t *testing.T) {
	base := ipctest.Store(t)
	file := filepath.Join(ipctest.Dir(t), "file")
	keep := create(t, "x", 1000, &samepage.Options{File: file})
	path := localDir(base) + "/memory.x"
	good := must(os.ReadFile(path))(t)
	for at := 0; at < len(good); at++ {
		if at >= 140 && at < 384 || at > 384+len(file)+20 {
			continue // not read: behind the name, and behind the path
		}
		b := append([]byte{}, good...)
		b[at] ^= 0x41
		ipctest.NoErr(t, os.WriteFile(path, b, 0o700))
		m, err := samepage.Open("x", nil)
		if err == nil {
			closeMem(t, m)
			if at < 129 || at >= 384 && at < 384+len(file) {
				t.Errorf("a record changed at byte %d was believed", at)
			}
		}
	}
	ipctest.NoErr(t, os.WriteFile(path, good[:100], 0o700))
	_, err := samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	ipctest.NoErr(t, os.WriteFile(path, good, 0o700))
	closeMem(t, must(samepage.Open("x", nil))(t))

	// The file below is exchanged, shortened, gone.
	ipctest.NoErr(t, os.Truncate(file, 10))
	_, err = samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk", "1000")
	ipctest.NoErr(t, os.Rename(file, file+".old"))
	ipctest.NoErr(t, os.WriteFile(file, make([]byte, 1000), 0o600))
	_, err = samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, "another file")
	ipctest.NoErr(t, os.Remove(file))
	_, err = samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, file, "missing") // the name is there
	closeMem(t, keep)
}

// Somebody with the same rights truncates an object below its users: what
// copies reports it, and the process lives.
func TestShrunkFile(t *testing.T) {
	base := ipctest.Store(t)
	m := create(t, "x", 1<<20, nil)
	v := view(t, m, 0, 0, samepage.ReadWrite)
	v.Bytes()[1<<19] = 1
	b := make([]byte, 100)
	must(m.ReadAt(b, 1<<19))(t)
	ipctest.NoErr(t, os.Truncate(localDir(base)+"/memory.x", 4096))
	for range 3 {
		_, err := v.ReadAt(b, 1<<19)
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
		_, err = v.WriteAt(b, 1<<19)
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
		_, err = m.ReadAt(b, 1<<19)
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
		_, err = m.WriteAt(b, 1<<19)
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
	}
	_, err := m.View(8192, 100, samepage.CopyOnWrite)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
	must(v.ReadAt(b, 0))(t) // the rest is there
	o := must(samepage.Open("x", nil))(t)
	if o.Size() != 4096 {
		t.Errorf("who opens it now sees %d bytes", o.Size())
	}
	closeMem(t, o)
}

// A fault that is not ours stays what it is.
func TestForeignFaultIsNotSwallowed(t *testing.T) {
	m := unnamed(t, 4096, nil)
	v := view(t, m, 0, 0, samepage.ReadWrite)
	gone := must(unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS))(t)
	ipctest.NoErr(t, unix.Mprotect(gone, unix.PROT_NONE))
	defer unix.Munmap(gone)
	defer func() {
		if recover() == nil {
			t.Error("a fault in the caller's own buffer was taken for a shrunk file")
		}
	}()
	_, _ = v.WriteAt(gone, 0)
}

func TestMissingStore(t *testing.T) {
	missing := filepath.Join(ipctest.Dir(t), "missing")
	t.Setenv("SAMEPAGE_DIR", missing)
	_, err := samepage.Create("x", 1, nil)
	ipctest.WantErr(t, err, samepage.ErrStore, missing, "mkdir -p "+missing)
	_, err = samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrStore, missing)
	if _, err := os.Stat(missing); err == nil {
		t.Error("the missing directory was made")
	}
}

func TestUmaskDoesNotMatter(t *testing.T) {
	ipctest.Store(t)
	old := syscall.Umask(0o777)
	defer syscall.Umask(old)
	m := create(t, "x", 100, nil)
	must(m.WriteAt([]byte("x"), 0))(t)
	closeMem(t, must(samepage.Open("x", nil))(t))
	if info := must(samepage.Stat("x", nil))(t); info.Perm != "-rw-------" {
		t.Errorf("rights are %s", info.Perm)
	}
}

// A user that is stopped is not dead, and neither is one that is stopped while
// it takes a name away: the others get an error in time.
func TestStoppedUserIsAlive(t *testing.T) {
	base := ipctest.Store(t)
	c := startAgent(t)
	c.Want("ok 100", "create x 100")
	c.Stop()
	closeMem(t, must(samepage.Open("x", nil))(t))
	_, err := samepage.Create("x", 100, nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	ipctest.WantErr(t, samepage.Remove("x", nil), samepage.ErrBusy)
	if l := must(samepage.Clean())(t); len(l) != 0 {
		t.Errorf("Clean took %+v", l)
	}
	wantNames(t, "memory:x")
	c.Continue()
	c.Want("ok", "close")

	// As a process that was stopped between its lock and its unlink would.
	defer func(d time.Duration) { store.RemovalWait = d }(store.RemovalWait)
	store.RemovalWait = 200 * time.Millisecond
	c.Want("ok 100", "create x 100 persist")
	c.Want("ok", "close")
	f := must(os.OpenFile(localDir(base)+"/memory.x", os.O_RDWR, 0))(t)
	fl := unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 62, Len: 1}
	ipctest.NoErr(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &fl))
	_, err = samepage.Open("x", nil)
	ipctest.WantErr(t, err, samepage.ErrBusy, "removing")
	_, err = samepage.Create("x", 100, nil)
	ipctest.WantErr(t, err, samepage.ErrBusy, "removing")
	ipctest.NoErr(t, f.Close())
	closeMem(t, must(samepage.Open("x", nil))(t))
	ipctest.NoErr(t, samepage.Remove("x", nil))
}

// A child that outlives its killed parent does not hold the parent's presence:
// the descriptor of the lock is the parent's alone.
func TestPresenceIsNotInherited(t *testing.T) {
	ipctest.Store(t)
	parent := startAgent(t)
	parent.Want("ok 100", "create x 100")
	parent.Send("spawn sleeper")
	pid := 0
	must(fmt.Sscanf(parent.Line(), "sleeper %d", &pid))(t)
	defer syscall.Kill(pid, syscall.SIGKILL)
	ipctest.NoErr(t, parent.Cmd.Process.Kill())
	deadline := time.Now().Add(ipctest.Patience)
	for {
		m, err := samepage.Open("x", nil)
		if err != nil {
			ipctest.WantErr(t, err, fs.ErrNotExist)
			break
		}
		closeMem(t, m)
		if time.Now().After(deadline) {
			t.Fatal("the name outlives the death of its only user")
		}
		time.Sleep(time.Millisecond)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the grandchild does not live: %v", err)
	}
}

// A reader of unnamed memory cannot make itself a writer.
func TestMission004_11_ReadOnlyIsEnforced(t *testing.T) {
	m := unnamed(t, 8192, nil)
	ours := m.ID() // other tests may have forgotten one
	v := view(t, m, 0, 0, samepage.ReadWrite)
	token := must(samepage.Grant(os.Getpid(), m, samepage.ReadOnly))(t)
	o := must(samepage.Attach(token))(t)
	closeLater(t, o)
	view(t, o, 0, 0, samepage.ReadOnly)
	opened := 0
	for _, e := range must(os.ReadDir("/proc/self/fd"))(t) {
		path := "/proc/self/fd/" + e.Name()
		if link, _ := os.Readlink(path); !strings.HasPrefix(link, "/memfd:samepage") {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		ipctest.NoErr(t, unix.Fstat(int(f.Fd()), &st))
		if binary.LittleEndian.Uint64(ours[8:]) != st.Ino {
			_ = f.Close()
			continue
		}
		opened++
		if _, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			t.Error("memory granted read-only can be mapped for writing")
		}
		if _, err := f.WriteAt([]byte("x"), 0); err == nil {
			t.Error("memory granted read-only can be written")
		}
		if err := f.Truncate(4096); err == nil {
			t.Error("unnamed memory can be truncated")
		}
		_ = f.Close()
	}
	if opened == 0 {
		t.Error("no descriptor was tried")
	}
	v.Bytes()[0] = 'w' // the granter's view from before
	_, err := samepage.Grant(os.Getpid(), m, samepage.ReadWrite)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only before")
}
