package text_test

import (
	"testing"

	"samepage/internal/ipctest"
)

// helpers are the child processes of the tests of this package. Each file adds its own.
var helpers = map[string]func([]string){}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }
