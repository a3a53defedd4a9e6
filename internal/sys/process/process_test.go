package process_test

import (
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
)

func TestForgottenHoldOnProcess(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Forget(t, process.Usage, func(int) error {
		r, err := process.Hold(process.Self())
		if err != nil {
			return err
		}
		_, err = r.Ended()
		return err
	}, nil)
}
