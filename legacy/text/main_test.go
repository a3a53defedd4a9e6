package text_test

import (
	"testing"

	"samepage/internal/ipctest"
)

// helpers are the children of this package's tests; each file adds its own.
var helpers = map[string]func([]string){}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }
