package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  names(0, 0),
		RunE:  func(*cobra.Command, []string) error { return a.printer().print(thisVersion()) },
	}
}

// release is the version of a released program; tools/release sets it when it links the program.
var release string

// version is what the build knows about itself.
type version struct {
	Version string `json:"version"` // of the module, and the revision if the version is not known
	Go      string `json:"go"`
	System  string `json:"system"`
}

func thisVersion() version {
	v := version{"unknown", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if release != "" {
		v.Version = release
	} else if b, ok := debug.ReadBuildInfo(); ok {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" && v.Version == "(devel)" {
				v.Version += " " + s.Value
			}
		}
	}
	return v
}

func (v version) String() string { return fmt.Sprintf("%s %s %s", v.Version, v.Go, v.System) }

func (v version) text(w io.Writer) error {
	_, err := fmt.Fprintln(w, "samepage", v)
	return err
}
