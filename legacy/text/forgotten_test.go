package text_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy/text"
)

// noNames returns an error if names of this test are left.
func noNames() error {
	all, err := samepage.List()
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d names, the first of %v %q", len(all), all[0].Kind, all[0].Name)
	}
	return err
}

// noFiles removes the files in dir. On Windows it returns an error if one of them is still open.
func noFiles(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// Objects that are dropped without Close give their descriptors and names back.
func TestForgottenIsGivenBack(t *testing.T) {
	ipctest.NeedNames(t)
	for kind, open := range map[string]func(name, dir string) error{
		"text": func(name, _ string) error {
			s, err := text.Create(name, "", 0)
			if err != nil {
				return err
			}
			if _, err := text.Open(name); err != nil {
				return err
			}
			return s.Set("text")
		},
		"text over a file": func(name, dir string) error {
			_, err := text.Create(name, dir+"/"+name, 4096)
			return err
		},
	} {
		t.Run(strings.ReplaceAll(kind, " ", "_"), func(t *testing.T) {
			ipctest.Store(t)
			dir := ipctest.Dir(t)
			ipctest.Forget(t, process.Usage, func(i int) error {
				return open(fmt.Sprintf("%s-%d", filepath.Base(dir), i), dir)
			}, func() error { return errors.Join(noNames(), noFiles(dir)) })
		})
	}
}
