//go:build amd64 || 386 || arm64

package waker

// Pause tells the processor n times that this is a spin loop. The scheduler cannot interrupt it:
// keep n below about 20, which takes about a microsecond.
//
//go:noescape
func Pause(n uint32)
