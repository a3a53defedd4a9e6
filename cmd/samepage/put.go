package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"samepage"
)

// maxBuffered is how many bytes of an input of unknown length are kept in memory, to find
// out how large the object must be.
const maxBuffered = 1 << 30

type putOptions struct {
	object
	offset, size int64
	create       bool
	buffer       int64 // maxBuffered; less in tests
}

func newPutCommand(a *app) *cobra.Command {
	o := putOptions{buffer: maxBuffered}
	c := &cobra.Command{
		Use:   "put NAME",
		Short: "Write standard input into a memory",
		Long: `put writes standard input into a memory. The bytes of the memory after the input
stay as they are. If there is no memory of that name, --create or --size creates one,
which stays until it is removed. Its size is --size or, without --size, the size of the
input. If the input is not a file, put first reads all of it, up to ` + formatSize(maxBuffered) + `,
to learn its size.

An input that is longer than the memory is an error. If the input is a file, nothing
is written then; otherwise the message says how many bytes were written.`,
		Example:           "  samepage put frames --create <frames.raw\n  camera | samepage put frames --size 64MiB",
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindMemory),
		RunE: func(c *cobra.Command, args []string) error {
			err := runPut(c.Context(), a, o, args[0])
			if errors.Is(err, errVanishes) {
				return usage(c, "%w", err)
			}
			return err
		},
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	o.addRights(c.Flags())
	c.Flags().BoolVar(&o.create, "create", false, "create the memory if it does not exist")
	c.Flags().Var(sizeFlag{&o.offset, 0}, "offset", "write the first byte at this offset in the memory")
	c.Flags().Var(sizeFlag{&o.size, 1}, "size", "create the memory with this size if it does not exist")
	return c
}

var errVanishes = errors.New("there is no such memory; on Windows an exact name exists only while a program uses it, and this command would end at once: create it with samepage create --exact --hold")

// written tells how many bytes were written, and where.
type written struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"` // of the memory
	Offset  int64  `json:"offset"`
	Written int64  `json:"written"`
	Created bool   `json:"created"`
}

func (r written) text(w io.Writer) error {
	tail := ""
	if r.Created {
		tail = ", created"
	}
	_, err := fmt.Fprintf(w, "wrote %s at %d of %s (%s%s)\n", numBytes(r.Written), r.Offset, plain(r.Name), formatSize(r.Size), tail)
	return err
}

// input is the input of put. n is its length; negative: it is not known.
type input struct {
	io.Reader
	n int64
}

func newInput(r io.Reader) input {
	f, ok := r.(*os.File)
	if !ok {
		return input{r, -1}
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return input{r, -1}
	}
	at, err := f.Seek(0, io.SeekCurrent)
	n := st.Size() - at
	if err != nil || n <= 0 { // files in /proc say that they have 0 bytes
		return input{r, -1}
	}
	return input{io.LimitReader(r, n), n}
}

// buffered reads all of an input, up to most bytes, to learn its length.
func (in input) buffered(ctx context.Context, most int64) (input, error) {
	var b bytes.Buffer
	n, err := copyBytes(ctx, &b, io.LimitReader(in.Reader, most+1), nil)
	if err != nil {
		return in, fmt.Errorf("read standard input: %w", err)
	}
	if n > most {
		return in, fmt.Errorf("the input is longer than %s, the most that is kept in memory to learn its length: use --size", formatSize(most))
	}
	return input{&b, n}, nil
}

func runPut(ctx context.Context, a *app, o putOptions, name string) (err error) {
	in := newInput(a.stdin)
	m, made, err := openForPut(ctx, o, name, &in)
	if err != nil {
		return err
	}
	// If this command created the memory and could not fill it, it removes it: others must
	// not take it for filled.
	defer func() {
		if made && err != nil {
			err = errors.Join(err, samepage.Remove(name, o.options(samepage.KindMemory)))
		}
	}()
	defer closing(m, &err)
	if !made {
		o.tellUnused(a.notes(), name)
	}
	if o.size != 0 && o.size != m.Size() {
		return fmt.Errorf("put %q: it exists and has %s, not the %d of --size: %w", name, numBytes(m.Size()), o.size, fs.ErrExist)
	}
	if o.offset > m.Size() || in.n > m.Size()-o.offset {
		return fmt.Errorf("put %s at offset %d of %v, nothing was written: %w", numBytes(max(in.n, 0)), o.offset, m, samepage.ErrRange)
	}
	p := newProgress(a.notes(), in.n)
	n, err := copyBytes(ctx, io.NewOffsetWriter(m, o.offset), in, p)
	p.done()
	switch {
	case errors.Is(err, samepage.ErrRange):
		return fmt.Errorf("put into %v: the input is longer; %s were written: %w", m, numBytes(n), samepage.ErrRange)
	case err != nil:
		return fmt.Errorf("put into %v, after %s: %w", m, numBytes(n), err)
	case in.n >= 0 && n < in.n:
		return fmt.Errorf("put into %v: the input ended after %d of %s: %w", m, n, numBytes(in.n), io.ErrUnexpectedEOF)
	}
	return a.printer().print(written{name, m.Size(), o.offset, n, made})
}

// openForPut opens the memory, or creates one that has room for in. To learn the size it may
// read all of in.
func openForPut(ctx context.Context, o putOptions, name string, in *input) (m *samepage.Memory, made bool, err error) {
	for range 100 { // others may create and remove it between the two calls
		m, err = samepage.Open(name, o.options(samepage.KindMemory))
		if !errors.Is(err, fs.ErrNotExist) {
			return m, false, err
		}
		if o.vanishes() {
			return nil, false, errVanishes
		}
		if !o.create && o.size == 0 {
			return nil, false, fmt.Errorf("%w; --create creates it", o.notThere(samepage.KindMemory, name, err))
		}
		size := o.size
		if size == 0 {
			if in.n < 0 {
				if *in, err = in.buffered(ctx, o.buffer); err != nil {
					return nil, false, err
				}
			}
			if in.n == 0 {
				return nil, false, fmt.Errorf("put %q: there is no memory of that name, and the input is empty: %w", name, samepage.ErrZeroSize)
			}
			size = o.offset + in.n
		}
		opts := o.creating(samepage.KindMemory)
		opts.Lifetime = samepage.Persist
		m, err = samepage.Create(name, size, opts)
		if !errors.Is(err, fs.ErrExist) {
			return m, err == nil, err
		}
	}
	return nil, false, err
}
