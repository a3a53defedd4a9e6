package doctor

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Whatever is wrong with a directory, create and doctor say what is there and whose it is,
// and the command that mends it, which never takes away what others may use.
func TestWrongDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(base string) error
		want    error
		says    string // %S is the store
		mend    string
	}{
		"base is missing": {func(b string) error { return nil }, syserr.ErrStore, `directory %B: `, `mkdir "%B"`},
		"base is a file":  {func(b string) error { return os.WriteFile(b, nil, 0o600) }, syserr.ErrStore, `%B is a file, owned by `, `set SAMEPAGE_DIR=`},
		"store is a file": {func(b string) error {
			return errors.Join(os.Mkdir(b, 0o700), os.WriteFile(store.Where(layout.Local), nil, 0o600))
		}, fs.ErrPermission, `%S is a file, owned by `, `del "%S"`},
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(ipctest.Dir(t), "base")
			t.Setenv("SAMEPAGE_DIR", base)
			ipctest.NoErr(t, c.prepare(base))
			create := func() error {
				o, err := sys.Create(&sys.Spec{Name: "x", Size: 100})
				if err == nil {
					err = o.Close()
				}
				return err
			}
			fill := strings.NewReplacer("%B", base, "%S", store.Where(layout.Local))
			says, mend := fill.Replace(c.says), fill.Replace(c.mend)
			err := create()
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), says) || !strings.HasSuffix(err.Error(), "(to mend it: "+mend+")") {
				t.Errorf("create: %v\nshould be %v\nand say %s\nand mend %s", err, c.want, says, mend)
			}
			if f := dirFact(layout.Local); f.OK || !strings.Contains(f.Note, says) || f.Mend != mend {
				t.Errorf("doctor: %+v", f)
			}
			if mend == "set SAMEPAGE_DIR=" {
				return // the shell's own
			}
			cmd := exec.Command("cmd")
			cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: "cmd /c " + mend}
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v, %s", mend, err, b)
			}
			if err := create(); err != nil {
				t.Errorf("after %s: %v", mend, err)
			}
			if f := dirFact(layout.Local); !f.OK {
				t.Errorf("doctor after %s: %+v", mend, f)
			}
		})
	}
}
