//go:build !samepagedebug

package pubsub

// leaks is the debug build's eye on loans and holds that are forgotten.
type leaks struct{}

func (*leaks) took(uint32)    {}
func (*leaks) gave(uint32)    {}
func (*leaks) String() string { return "" }
