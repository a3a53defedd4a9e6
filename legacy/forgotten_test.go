package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy"
)

// noNames finds the names of this test.
func noNames() error {
	all, err := samepage.List()
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d names, the first of %v %q", len(all), all[0].Kind, all[0].Name)
	}
	return err
}

// What is dropped without Close gives its descriptors and its names back.
func TestForgottenIsGivenBack(t *testing.T) {
	ipctest.NeedNames(t)
	for kind, open := range map[string]func(name, dir string) error{
		"text": func(name, _ string) error {
			s, err := legacy.CreateText(name, "", 0)
			if err != nil {
				return err
			}
			if _, err := legacy.OpenText(name); err != nil {
				return err
			}
			return s.Set("text")
		},
		"text over a file": func(name, dir string) error {
			_, err := legacy.CreateText(name, dir+"/"+name, 4096)
			return err
		},
		"ShareMemory": func(name, dir string) error {
			o := &legacy.ShareMemoryOptions{Lock: legacy.FileLockOptions{Dir: dir}}
			w, err := legacy.CreateShareMemory(bg, name, 100, o)
			if err != nil {
				return err
			}
			if _, err := w.Write(bg, []byte("value")); err != nil {
				return err
			}
			r, err := legacy.OpenShareMemory(name, o)
			if err != nil {
				return err
			}
			return r.View(bg, func([]byte) error { return nil })
		},
		"FileLock": func(name, dir string) error {
			l, err := legacy.NewFileLock(name, &legacy.FileLockOptions{Dir: dir})
			if err != nil {
				return err
			}
			return errors.Join(l.Lock(bg), l.Unlock(), l.RLock(bg), l.RUnlock())
		},
		"BaseImage": func(name, _ string) error {
			o := &legacy.BaseImageOptions{
				Name: name, Event: name + " event", Size: 4096, Settle: -1,
				Start: func() (*exec.Cmd, error) { return nil, errors.ErrUnsupported },
			}
			s, err := legacy.CreateBaseImage(o)
			if err != nil {
				return err
			}
			r, err := legacy.OpenBaseImage(o)
			if err != nil {
				return err
			}
			if err := s.Send(bg, image.NewGray(image.Rect(0, 0, 8, 8))); !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
			_, err = r.Grab(bg)
			return err
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

// A requester that was dropped makes way for another one, and leaves nothing.
func TestForgottenEarseImageRequester(t *testing.T) {
	earseStart(t)
	for range 10 {
		ipctest.Collect(t, "the requester before", func() error {
			r, err := legacy.NewEarseImageRequester(nil)
			if err != nil {
				if !errors.Is(err, fs.ErrExist) {
					t.Fatal(err)
				}
				return err
			}
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			_, err = r.Do(ctx, legacy.EarseImageJob{Source: "s"})
			ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
			return nil
		})
	}
	ipctest.Collect(t, "the last requester", noNames)
}
