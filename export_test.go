package samepage

import "samepage/internal/object"

// For tests: how much this process maps.

func ResetMappedPeak() { object.ResetPeak() }

func MappedPeak() int64 {
	_, peak := object.Mapped()
	return peak
}

func MappedNow() int64 {
	now, _ := object.Mapped()
	return now
}

// OpenObjects is how many objects this process has open.
func OpenObjects() int { return object.OpenCount() }
