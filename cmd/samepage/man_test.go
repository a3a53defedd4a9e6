package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samepage/internal/ipctest"
)

// Each command has a manual page with all its flags, and each command that is shown in the help is
// in a group.
func TestManual(t *testing.T) {
	dir := ipctest.Dir(t)
	root := newRoot(&app{})
	files, err := writeManual(root, dir)
	ipctest.NoErr(t, err)
	pages := 0
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		pages++
		b, err := os.ReadFile(filepath.Join(dir, pageName(c)+".1"))
		if err != nil {
			t.Error(err)
			return
		}
		page := string(b)
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(page, roff("--"+f.Name)) {
				t.Errorf("%s: no --%s", pageName(c), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" && !strings.Contains(page, roff(pageName(sub))+" (1)") {
				t.Errorf("%s: no command %s", pageName(c), sub.Name())
			}
			if c == root && sub.IsAvailableCommand() && sub.GroupID == "" && sub.Name() != "help" && sub.Name() != "completion" && sub.Name() != "version" {
				t.Errorf("%s is in no group", sub.Name())
			}
			each(sub)
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.ContainsAny(line[1:2], "TSPBRbnf") {
				t.Errorf("%s: a line of text is taken for a command: %q", pageName(c), line)
			}
		}
	}
	each(root)
	if pages != len(files) || pages < 40 {
		t.Errorf("%d files, %d commands", len(files), pages)
	}
	// These programs know the language, if they are at hand.
	if groff, err := exec.LookPath("groff"); err == nil {
		out, err := exec.Command(groff, append([]string{"-man", "-ww", "-z"}, files...)...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("groff: %v: %s", err, out)
		}
	}
	if mandoc, err := exec.LookPath("mandoc"); err == nil {
		out, _ := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, files...)...).Output()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "missing date") {
				t.Error("mandoc:", line)
			}
		}
	}
}
