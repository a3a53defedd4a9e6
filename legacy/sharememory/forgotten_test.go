package sharememory_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy/sharememory"
)

// noNames returns an error if names of this test are left.
func noNames() error {
	all, err := samepage.List()
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d names, the first of %v %q", len(all), all[0].Kind, all[0].Name)
	}
	return err
}

// Objects that are dropped without Close give their descriptors and names back.
func TestForgottenIsGivenBack(t *testing.T) {
	ipctest.NeedNames(t)
	for kind, open := range map[string]func(name, dir string) error{
		"block": func(name, dir string) error {
			o := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: dir}}
			w, err := sharememory.CreateWriter(bg, name, 100, o)
			if err != nil {
				return err
			}
			if _, err := w.Write(bg, []byte("value")); err != nil {
				return err
			}
			r, err := sharememory.OpenReader(name, o)
			if err != nil {
				return err
			}
			return r.View(bg, func([]byte) error { return nil })
		},
		"lock": func(name, dir string) error {
			l, err := sharememory.NewFileLock(name, &sharememory.FileLockOptions{Dir: dir})
			if err != nil {
				return err
			}
			return errors.Join(l.Lock(bg), l.Unlock(), l.RLock(bg), l.RUnlock())
		},
	} {
		t.Run(strings.ReplaceAll(kind, " ", "_"), func(t *testing.T) {
			ipctest.Store(t)
			dir := ipctest.Dir(t)
			ipctest.Forget(t, process.Usage, func(i int) error {
				return open(fmt.Sprintf("forgotten-%d-%d", os.Getpid(), i), dir)
			}, noNames)
		})
	}
}
