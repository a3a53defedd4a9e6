package main

import (
	"math"
	"strconv"
	"time"
)

// formatRate is "25/s" or "1.25 M/s".
func formatRate(r float64) string {
	switch {
	case r >= 1e9:
		return three(r/1e9) + " G/s"
	case r >= 1e6:
		return three(r/1e6) + " M/s"
	}
	return three(r) + "/s"
}

// three formats a number with three significant digits, and all digits before the point.
func three(f float64) string {
	if f >= 99.95 {
		return strconv.FormatFloat(math.Round(f), 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}

// roundDuration keeps about three significant digits.
func roundDuration(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
