//go:build race

package edge

import (
	"testing"
	"unsafe"
)

// Equal identities have the same words. Other identities have other words, except a few by chance.
func TestWords(t *testing.T) {
	if Of("x").word(7) != Of("x").word(7) {
		t.Error("one object has two words 7")
	}
	if Of("x") == Of("y") {
		t.Error("two objects have the same words")
	}
	const n = 1000
	seen := map[unsafe.Pointer]bool{}
	for i := range n {
		for k := range uint64(n) / 100 {
			seen[Of(i).word(k)] = true
		}
	}
	if all := n * n / 100; len(seen) < all*98/100 {
		t.Errorf("%d words have %d addresses", all, len(seen))
	}
}
