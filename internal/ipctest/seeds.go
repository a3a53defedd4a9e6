package ipctest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Seeds runs f with one seed after the other, the nth time with n, for SAMEPAGE_SECONDS (make soak:
// 300), and ten times at least. It ends when one fails.
func Seeds(t *testing.T, f func(t *testing.T, seed, n uint64)) {
	t.Helper()
	seconds, _ := strconv.Atoi(os.Getenv("SAMEPAGE_SECONDS"))
	first := rand.Uint64()
	n := uint64(0)
	for begun := time.Now(); n < 10 || time.Since(begun) < time.Duration(seconds)*time.Second; n++ {
		if !t.Run(fmt.Sprint("seed ", first+n), func(t *testing.T) { f(t, first+n, n) }) {
			return
		}
	}
	t.Logf("%d seeds from %d on", n, first)
}
