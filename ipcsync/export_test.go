package ipcsync

// LateWakes counts those who were woken by the recheck alone.
func LateWakes() uint64 { return lateWakes.Load() }
