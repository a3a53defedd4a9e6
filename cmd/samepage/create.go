package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"samepage"
)

type createOptions struct {
	object
	size   int64
	file   string
	hold   bool
	sparse bool
}

func newCreateCommand(a *app) *cobra.Command {
	var o createOptions
	c := &cobra.Command{
		Use:   "create NAME --size N",
		Short: "Create a shared memory",
		Long: `create creates a shared memory. All its bytes are zero, or are those of a file. It
stays until it is removed or the machine restarts. With --hold it lives only while it
is used, and the command uses it until Ctrl-C or SIGTERM: then the exit code is 0.

With --file the memory lies over that file. The file is created, or extended to
--size, if needed. Without --size the memory is as large as the file.`,
		Example: "  samepage create frames --size 64MiB\n  samepage create log --file log.bin --hold",
		Args:    names(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.size == 0 && o.file == "":
				return usage(c, "--size is missing")
			case o.vanishes() && !o.hold:
				return usage(c, "on Windows an exact name exists only while a program uses it, and this command would end at once: use --hold")
			}
			return runCreate(c.Context(), a.printer(), o, args[0])
		},
	}
	f := c.Flags()
	o.addFlags(c)
	o.addExact(f)
	o.addRights(f)
	f.Var(sizeFlag{&o.size, 1}, "size", "size of the memory")
	f.StringVar(&o.file, "file", "", "lay the memory over the file at this `path`")
	f.BoolVar(&o.hold, "hold", false, "keep running and use the memory until Ctrl-C; it then lives only while it is used")
	f.BoolVar(&o.sparse, "sparse", false, "reserve no space now; if space runs out later, access to the memory fails with a fault")
	return c
}

// created tells what was created.
type created struct {
	Name     string            `json:"name"`
	Kind     samepage.Kind     `json:"kind"`
	Scope    samepage.Scope    `json:"scope"`
	Size     int64             `json:"size"`
	Lifetime samepage.Lifetime `json:"lifetime"`
	ID       samepage.ID       `json:"id"`
	File     string            `json:"file,omitempty"`
	Held     bool              `json:"held"`
}

func (r created) text(w io.Writer) error {
	over, tail := "", ""
	if r.File != "" {
		over = " over " + r.File
	}
	if r.Held {
		tail = "; held until Ctrl-C"
	}
	_, err := fmt.Fprintf(w, "created %s: %s, %v, %v%s%s\n", plain(r.Name), formatSize(r.Size), r.Scope, r.Lifetime, over, tail)
	return err
}

func runCreate(ctx context.Context, p printer, o createOptions, name string) (err error) {
	opts := o.creating(samepage.KindMemory)
	opts.File, opts.Sparse = o.file, o.sparse
	if !o.hold {
		opts.Lifetime = samepage.Persist
	}
	m, err := samepage.Create(name, o.size, opts)
	if err != nil {
		return noFile(err) // only the file or its folder can be missing
	}
	defer closing(m, &err)
	file := m.File()
	if abs, aerr := filepath.Abs(file); file != "" && aerr == nil {
		file = abs
	}
	err = p.print(created{name, m.Kind(), m.Scope(), m.Size(), m.Lifetime(), m.ID(), file, o.hold})
	if err == nil && o.hold {
		<-ctx.Done()
	}
	return err
}

// closing closes c. It stores the error in *err unless there is one already.
func closing(c io.Closer, err *error) {
	if cerr := c.Close(); *err == nil {
		*err = cerr
	}
}
