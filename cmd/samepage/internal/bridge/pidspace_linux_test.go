package bridge

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"samepage/internal/ipctest"
)

// A topic and a cell are let go when the last process that used them is killed, also in another pid
// namespace.
func TestKilledInAnotherPIDNamespace(t *testing.T) {
	ipctest.NeedNames(t)
	apart := ipctest.PIDNamespace(t)
	t.Setenv("SILENCE", "500ms")
	for name, helper := range map[string][]string{"topic": {"publisher", "run", "100", "0"}, "cell": {"setter", "c", ""}} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			var names []string // none: cells
			if name == "topic" {
				names = []string{"run*"}
			}
			near := start(t, newServer(t, server.Options{}), "publish", Newest, names...)
			cmd := ipctest.Command(t, helper[0], helper[1:]...)
			cmd.SysProcAttr = apart
			c := ipctest.StartCmd(t, cmd)
			if name == "topic" {
				c.Line()
			}
			c.Send("1")
			c.Line()
			near.event("attached")
			c.Kill()
			if e := near.event("over"); e.Topic != helper[1] {
				t.Errorf("%+v", e)
			}
		})
	}
}
