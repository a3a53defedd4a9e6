// Package legacy talks to existing C++ programs that share memory by the Win32
// calls, byte for byte as they do, in either role:
//
//   - EarseImage: a requester and a worker of image jobs, who notify each other
//     by window messages;
//   - ShareMemory: one latest value with a checksum, under a reader/writer lock
//     made of two files;
//   - BaseImage: pictures from a base program to an algorithm's, with an event;
//   - Text: a NUL-terminated text in a section over a file.
//
// Unnamed memory by the value of a handle is in package samepage (InheritHandle).
//
// New programs are better served by this project's own packages, which promise
// more than these layouts can. What each layout cannot promise stands at the
// types that serve it, and in docs/legacy.md. The layouts are in wire.h, for C
// and C++.
//
// On Windows the objects have the names that those programs know
// (samepage.Options.Exact). Elsewhere there are no such programs, and the same
// types meet each other over objects of this project, so that a port can be
// written and tested there.
//
// Whatever stands in memory that a peer can write is checked against what is
// known here before it is used.
package legacy

import (
	"runtime"

	"samepage"
)

// memoryOptions are those of a memory that C++ programs know by its bare name,
// where there are such programs.
func memoryOptions() *samepage.Options {
	return &samepage.Options{Exact: bareNames}
}

// bareNames: objects have the system's bare names.
const bareNames = runtime.GOOS == "windows"
