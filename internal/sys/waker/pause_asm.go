//go:build amd64 || 386 || arm64

package waker

// Pause tells the processor n times that this is a spin loop. Such a loop cannot
// be preempted: keep n below some 20, which is about a microsecond.
//
//go:noescape
func Pause(n uint32)
