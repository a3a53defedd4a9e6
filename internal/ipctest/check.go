package ipctest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// NoErr ends the test when there is an error.
func NoErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantErr checks that err matches want, and that its text has all the words.
func WantErr(t testing.TB, err, want error, words ...string) {
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

// Repeat is how often a test does what it repeats: full times, or few, with -short and on
// Windows. There Wine runs the tests, under which a process takes tens of times as long to
// start and to end, and Linux has repeated the same protocol at full length. The variable
// env of the environment, where the test has one and it is set, says it instead.
func Repeat(t testing.TB, full, few int, env string) int {
	t.Helper()
	if s := os.Getenv(env); env != "" && s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	if testing.Short() || runtime.GOOS == "windows" {
		return few
	}
	return full
}

// Exchanges is how many values, pictures, jobs or texts go from one program to the
// other in tests: $SAMEPAGE_EXCHANGES, or 1000.
func Exchanges(t testing.TB) int {
	t.Helper()
	s := os.Getenv("SAMEPAGE_EXCHANGES")
	if s == "" {
		return 1000
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// Fill writes message q into b, of which each word tells where it stands.
func Fill(b []byte, q uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], q*0x9e3779b97f4a7c15+uint64(i))
	}
}

// Check says where b is not message q of Fill.
func Check(b []byte, q uint64) error {
	for i := 0; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:]) != q*0x9e3779b97f4a7c15+uint64(i) {
			return fmt.Errorf("message %d of %d bytes is torn at byte %d", q, len(b), i)
		}
	}
	return nil
}
