package main

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"samepage"
	"samepage/internal/words"
)

var sizeSyntax = regexp.MustCompile(`^(-?)([0-9]{1,40}(?:\.[0-9]{1,40})?) ?([A-Za-z]*)$`)

// units maps the name of each unit, in lower case, to its number of bytes.
var units = func() map[string]int64 {
	u := map[string]int64{"": 1, "b": 1}
	decimal, binary := int64(1), int64(1)
	for _, letter := range []string{"k", "m", "g", "t"} {
		decimal *= 1000
		binary *= 1024
		u[letter+"b"], u[letter], u[letter+"ib"] = decimal, binary, binary
	}
	return u
}()

// parseSize reads a number of bytes, such as 4096, 64MiB, 1GB or 1.5GiB. It is exact: a size
// that is not a whole number of bytes is an error.
func parseSize(s string) (int64, error) {
	p := sizeSyntax.FindStringSubmatch(s)
	if p == nil {
		return 0, errors.New("not a size such as 4096, 64MiB or 1.5GB")
	}
	unit, ok := units[strings.ToLower(p[3])]
	if !ok {
		return 0, fmt.Errorf("unknown unit %q, want one of B, kB, KiB, K, MB, MiB, M, GB, GiB, G, TB, TiB, T", p[3])
	}
	if p[1] != "" {
		return 0, errors.New("negative")
	}
	n, ok := new(big.Rat).SetString(p[2])
	if !ok {
		return 0, errors.New("not a number")
	}
	n.Mul(n, new(big.Rat).SetInt64(unit))
	switch {
	case !n.IsInt():
		return 0, errors.New("not a whole number of bytes")
	case n.Cmp(new(big.Rat).SetInt64(samepage.MaxSize)) > 0:
		return 0, fmt.Errorf("too large, the maximum is %s", formatSize(samepage.MaxSize))
	}
	return n.Num().Int64(), nil
}

// formatSize is a number of bytes for people, with at most one decimal.
func formatSize(n int64) string { return words.Size(n) }

// numBytes is "1 byte", "4096 bytes".
func numBytes(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// count is "1 picture", "2 pictures".
func count(n int, what string) string { return words.Count(n, what) }

func count64(n uint64, what string) string { return words.Count(n, what) }
