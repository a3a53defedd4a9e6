package record

import (
	"testing"

	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"record": recordUntilKilled, "load": recordLoad, "fast": fastProcess})
}
