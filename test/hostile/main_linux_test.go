package hostile

import (
	"fmt"
	"os"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/ipctest/memtest"
)

func init() {
	helpers["sleeper"] = func([]string) { fmt.Println("sleeper", os.Getpid()); time.Sleep(ipctest.Patience) }
}

var (
	startAgent    = memtest.StartAgent
	wantChildErr  = memtest.WantChildErr
	needOtherUser = memtest.NeedOtherUser
	closeLater    = memtest.CloseLater
	view          = memtest.View
	create        = memtest.Create
	unnamed       = memtest.Unnamed
	wantNames     = memtest.WantNames
)
