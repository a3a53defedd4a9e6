package earseimage_test

import (
	"context"
	"testing"

	"samepage/internal/ipctest"
)

var bg = context.Background()

// helpers are the children of this package's tests; each file adds its own.
var helpers = map[string]func([]string){}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }
