// Package words has numbers, names and processes in words for people. The command, the page and
// package inspect say them in the same way.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Plain returns a name for messages. It is quoted if it has characters that could do something to
// a terminal, or that could be taken for the text around it.
func Plain(name string) string {
	for _, r := range name {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' {
			return strconv.Quote(name)
		}
	}
	return name
}

// Size is a number of bytes, with at most one decimal.
func Size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < 4 {
		f /= 1024
		unit++
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + " " + []string{"KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
}

// Count is "1 picture", "2 pictures".
func Count[T int | uint64](n T, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n) + " " + what
}

// Lasting is how long something has lasted: "3.2 s", "42 s", "5 min 3 s", "3 h 12 min", "4 days".
func Lasting(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < 100*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 0, 64) + " s"
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 2*day:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/day)
}

// HasEnded is said of a process that has ended while its lock is still held.
const HasEnded = ", which has ended: a descendant still has its descriptor"

// Process is "process 17". If foreign is set, the number belongs to another pid namespace, and the
// text says so. If ended is set, it says that the process has ended.
func Process(pid int, foreign, ended bool) string { return process(pid, "", foreign, ended) }

// Named is Process with the name of the program.
func Named(pid int, name string, foreign, ended bool) string {
	return process(pid, " ("+Plain(name)+")", foreign, ended)
}

func process(pid int, name string, foreign, ended bool) string {
	s := fmt.Sprintf("process %d", pid)
	if foreign {
		s += " of another pid namespace"
	}
	if s += name; ended {
		s += HasEnded
	}
	return s
}
