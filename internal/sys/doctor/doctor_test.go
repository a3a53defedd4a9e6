package doctor

import (
	"testing"

	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"place": wrongPlace})
}

func TestFacts(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	fs := Facts()
	if len(fs) == 0 {
		t.Error("no facts")
	}
	for _, f := range fs {
		t.Logf("%+v", f)
		if f.Name == "" || f.Value == "" {
			t.Errorf("empty fact %+v", f)
		}
	}
}
