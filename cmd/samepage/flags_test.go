package main

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samepage/internal/ipctest"
)

// A flag out of range is wrong usage, whatever code finds it, and the message has the flag, the
// value and the range.
func TestFlagOutOfRange(t *testing.T) {
	ipctest.NeedNames(t)
	t.Setenv("SAMEPAGE_DIR", ipctest.Store(t))
	picture := filepath.Join(ipctest.Dir(t), "p.png")
	f, err := os.Create(picture)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, errors.Join(png.Encode(f, image.NewGray(image.Rect(0, 0, 2, 2))), f.Close()))
	for _, c := range []struct{ args, want string }{
		{"pub t --depth 600000", "--depth is 600000, want 1 to 524288"},
		{"pub t --pack 5", "--pack is 5, want 8 to "},
		{"pub t --size 100 --pack 100", "--pack is 100, want 104 to "},
		{"pub t --depth -1", "--depth is -1, want 1 to 524288"},
		{"pub t --publishers 65", "--publishers is 65, want 1 to 64"},
		{"pub t --members 9999", "--members is 9999, want 1 to 1024"},
		{"pub t --evict-after -1s", "--evict-after is -1s, want 0s or more"},
		{"cell put c v --size 4GiB", "--size is 4294967296, want 0 to "},
		{"legacy baseimage send --align 5000 " + picture, "--align is 5000, want 1 to 4096"},
		{"legacy baseimage send --align -1 " + picture, "--align is -1, want 1 to 4096"},
		{"legacy sharememory write s --size 2GiB", "--size is 2147483648, want 0 to "},
		{"legacy sharememory read s --boot -5", "--boot is -5, want "},
	} {
		var out, errs bytes.Buffer
		code := run(strings.Fields(c.args), strings.NewReader(""), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), c.want) || !strings.Contains(errs.String(), " --help") {
			t.Errorf("samepage %s: code %d, %s", c.args, code, errs.String())
		}
	}
}

// The error of a value that no flag of that type accepts says what is wanted, in the words of the
// command. Flags that accept any text are left out. The help says what a value is in these words,
// too, and not with a type of Go.
func TestFlagWords(t *testing.T) {
	types := regexp.MustCompile("^(u?int|float|string)")
	flags := 0
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if what, _ := pflag.UnquoteUsage(f); types.MatchString(what) {
				t.Errorf("%s: the help says --%s %s", c.CommandPath(), f.Name, what)
			}
			if f.Name == "help" || f.Value.Set("\x01?") == nil {
				return
			}
			flags++
			args := append(strings.Fields(c.CommandPath())[1:], "--"+f.Name+"=\x01?")
			var out, errs bytes.Buffer
			code := run(args, strings.NewReader(""), &out, &errs)
			text, found := strings.CutPrefix(errs.String(), "samepage: --"+f.Name+" is \"\\x01?\", ")
			if code != exitUsage || !found || strings.ContainsAny(text, "\x01") ||
				strings.Contains(text, "strconv") || strings.Contains(text, "time:") || strings.Contains(text, "parse") {
				t.Errorf("%q: code %d, %s", args, code, errs.String())
			}
		})
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	root := newRoot(&app{})
	each(root)
	if flags < 50 {
		t.Errorf("%d flags", flags)
	}
}
