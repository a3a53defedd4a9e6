//go:build !linux && !windows

package doctor

import (
	"runtime"
)

// Facts returns what this system can do.
func Facts() []Fact {
	return []Fact{{Name: "system", Value: runtime.GOOS, Note: "only MapFile works here"}}
}
