package syserr

import "syscall"

// These match the errors of sockets, which programs look for in connections of any kind.
const (
	ConnRefused = syscall.ECONNREFUSED
	ConnReset   = syscall.ECONNRESET
	BrokenPipe  = syscall.EPIPE
	AddrInUse   = syscall.EADDRINUSE
)
