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
