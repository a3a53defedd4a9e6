package hostile

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/layout"
)

// Rights, other users, and what they may leave in our way.

// An entry that another user left, and that one may only read, is an error at
// once, and is not said to be removed.
func TestLeftoverOfAnotherUser(t *testing.T) {
	dir := ipctest.Store(t)
	ipctest.NoErr(t, os.Chmod(dir, 0o777))
	c := needOtherUser(t)
	create(t, `Global\kept`, 100, nil)
	path := dir + "/samepage/memory.dead"
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 100), 0o644)) // what a killed creator leaves
	ipctest.NoErr(t, os.Chmod(path, 0o644))
	answer := c.Ask(`create "Global\\dead" 100`)
	wantChildErr(t, answer, "ErrPermission")
	if !strings.Contains(answer, "root") || !strings.Contains(answer, "0644") {
		t.Errorf("%q does not tell whose it is", answer)
	}
	wantChildErr(t, c.Ask(`remove "Global\\dead"`), "ErrPermission")
	wantChildErr(t, c.Ask(`open "Global\\dead" ro`), "ErrNotExist")
	answer = c.Ask("clean")
	if !strings.Contains(answer, "dead false") {
		t.Errorf("Clean of what only another user may remove tells %q", answer)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	closeMem(t, must(samepage.Create(`Global\dead`, 50, nil))(t)) // its owner takes it away
}

// An object that nobody may write, by its rights, does not stay when its last
// user leaves.
func TestReadOnlyRightsLeaveNothing(t *testing.T) {
	ipctest.Store(t)
	m := must(samepage.Create("x", 100, &samepage.Options{Perm: 0o444}))(t)
	o := must(samepage.Open("x", &samepage.Options{Access: samepage.ReadOnly}))(t)
	closeMem(t, m)
	closeMem(t, o)
	wantNames(t)
	if left := must(samepage.Leftovers())(t); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

func TestOwnerByNumber(t *testing.T) {
	dir := ipctest.Store(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	create(t, `Global\kept`, 1, nil)
	path := dir + "/samepage/memory.y"
	ipctest.NoErr(t, os.WriteFile(path, []byte("y"), 0o600))
	ipctest.NoErr(t, os.Chmod(path, 0o600|os.ModeSticky))
	ipctest.NoErr(t, os.Chown(path, 54321, 54321)) // who has no account
	closeMem(t, must(samepage.Open(`Global\y`, &samepage.Options{Owner: "54321"}))(t))
	_, err := samepage.Open(`Global\y`, &samepage.Options{Owner: "no such user"})
	ipctest.WantErr(t, err, fs.ErrInvalid, "no such user")
}

// A record of another user's does not lead to a file that only we may write.
func TestRecordOfAnotherUser(t *testing.T) {
	dir := ipctest.Store(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	create(t, `Global\kept`, 1, nil)
	secret := filepath.Join(ipctest.Dir(t), "secret")
	ipctest.NoErr(t, os.WriteFile(secret, []byte("root's own"), 0o600))
	var st unix.Stat_t
	ipctest.NoErr(t, unix.Stat(secret, &st))
	r := layout.Record{
		Scope: layout.Global, Lifetime: layout.Persist, Size: 10,
		Dev: st.Dev, Ino: st.Ino, Name: "y", Path: secret,
	}
	path := dir + "/samepage/memory.y"
	ipctest.NoErr(t, os.WriteFile(path, r.Append(nil), 0o700))
	ipctest.NoErr(t, os.Chmod(path, 0o700|os.ModeSticky))
	ipctest.NoErr(t, os.Chown(path, 65534, 65534))
	_, err := samepage.Open(`Global\y`, &samepage.Options{Owner: "nobody"})
	ipctest.WantErr(t, err, fs.ErrPermission, secret, "root", "nobody")
	ipctest.NoErr(t, os.Chown(secret, 65534, 65534))
	closeMem(t, must(samepage.Open(`Global\y`, &samepage.Options{Owner: "nobody"}))(t))
}

// The directories of the scopes appear with their rights, whoever comes first.
func TestDirectoriesAppearWhole(t *testing.T) {
	var errs ipctest.ErrCount
	for range 20 {
		base := ipctest.Store(t)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				name := fmt.Sprint(i)
				if os.Geteuid() == 0 && i%2 == 0 {
					name = `Global\` + name
				}
				m, err := samepage.Create(name, 100, nil)
				if err == nil {
					err = m.Close()
				}
				if err != nil {
					errs.Add(err, base)
				}
			})
		}
		wg.Wait()
		for _, e := range must(os.ReadDir(base))(t) {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
	errs.Report(t)
}

// A child that another goroutine is just starting holds no lock of ours.
func TestExclusiveWhileStartingChildren(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.Command("/bin/true").Run()
			}
		}
	})
	for i := range 3000 {
		m, err := samepage.MapFile(path, 100, &samepage.Options{Exclusive: true})
		if err != nil {
			t.Errorf("open %d of a file that nobody has: %v", i, err)
			break
		}
		closeMem(t, m)
	}
	close(stop)
	wg.Wait()
}

// An exact name is that of a file and nothing else.
func TestRemoveExactTakesFilesOnly(t *testing.T) {
	base := ipctest.Store(t)
	closeMem(t, create(t, "x", 1, nil))
	err := samepage.Remove(filepath.Base(localDir(base)), &samepage.Options{Exact: true})
	ipctest.WantErr(t, err, fs.ErrPermission, "directory")
	if _, err := os.Stat(localDir(base)); err != nil {
		t.Error(err)
	}
}

// Without /proc nothing works, and says so; an object that exists is not said to
// be missing.
func TestWithoutProc(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can unmount /proc")
	}
	ipctest.Store(t)
	create(t, "x", 100, nil)
	cmd := ipctest.Command(t, "noproc")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("no mount namespace is available: %v", err)
	}
	if want := "ErrStore ErrStore ErrStore\n"; string(out) != want {
		t.Errorf("open, open or create and create are %q, want %q", out, want)
	}
}

func init() {
	helpers["noproc"] = func([]string) {
		if unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") != nil || unix.Mount("tmpfs", "/proc", "tmpfs", 0, "") != nil {
			os.Exit(1)
		}
		_, e1 := samepage.Open("x", nil)
		_, _, e2 := samepage.OpenOrCreate("x", 100, nil)
		_, e3 := samepage.Create("y", 100, nil)
		fmt.Println(agent.Classify(e1), agent.Classify(e2), agent.Classify(e3))
	}
}
