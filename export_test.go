package samepage

// For tests: how much this process maps.

func ResetMappedPeak() {
	mapped.Lock()
	mapped.peak = mapped.now
	mapped.Unlock()
}

func MappedPeak() int64 {
	mapped.Lock()
	defer mapped.Unlock()
	return mapped.peak
}

func MappedNow() int64 {
	mapped.Lock()
	defer mapped.Unlock()
	return mapped.now
}

// OpenObjects is how many objects this process has open.
func OpenObjects() int {
	objects.mu.Lock()
	defer objects.mu.Unlock()
	return len(objects.all)
}
