package baseimage_test

import (
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy/baseimage"
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
	ipctest.Store(t)
	ipctest.Forget(t, process.Usage, func(i int) error {
		name := fmt.Sprintf("forgotten-%d-%d", os.Getpid(), i)
		s, err := baseimage.CreateSender(&baseimage.SenderOptions{
			Name: name, Event: name + " event", Size: 4096,
			Start: func() (*exec.Cmd, error) { return nil, errors.ErrUnsupported },
		})
		if err != nil {
			return err
		}
		r, err := baseimage.OpenReceiver(&baseimage.ReceiverOptions{Name: name, Event: name + " event", Settle: -1})
		if err != nil {
			return err
		}
		if err := s.Send(bg, image.NewGray(image.Rect(0, 0, 8, 8))); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
		_, err = r.Grab(bg)
		return err
	}, noNames)
}
