package legacy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

var bg = context.Background()

// helpers are the children of this package's tests; each file adds its own.
var helpers = map[string]func([]string){}

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr checks what err is, and that its text has all the words.
func wantErr(t testing.TB, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error text %q lacks %q", err, w)
		}
	}
}
