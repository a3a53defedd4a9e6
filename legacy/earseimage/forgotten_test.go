package earseimage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/earseimage"
)

// noNames returns an error if names of this test are left.
func noNames() error {
	all, err := samepage.List()
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d names, the first of %v %q", len(all), all[0].Kind, all[0].Name)
	}
	return err
}

// After a requester was dropped, another one can start, and nothing is left behind.
func TestForgottenEarseImageRequester(t *testing.T) {
	start(t)
	for range 10 {
		ipctest.Collect(t, "the requester before", func() error {
			r, err := earseimage.CreateRequester(nil)
			if err != nil {
				if !errors.Is(err, fs.ErrExist) {
					t.Fatal(err)
				}
				return err
			}
			ctx, cancel := context.WithTimeout(bg, time.Minute)
			defer cancel()
			_, err = r.Do(ctx, earseimage.Job{Source: "s"})
			ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
			return nil
		})
	}
	ipctest.Collect(t, "the last requester", noNames)
}
