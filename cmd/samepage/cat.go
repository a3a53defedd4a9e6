package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"samepage"
)

// copyPiece is how many bytes are copied before the copy looks for Ctrl-C again.
const copyPiece = 1 << 20

type catOptions struct {
	object
	offset, length int64
	raw            bool
}

func newCatCommand(a *app) *cobra.Command {
	var o catOptions
	c := &cobra.Command{
		Use:   "cat NAME",
		Short: "Write the bytes of a memory to standard output",
		Long: `cat writes the bytes of a memory, or a part of them, to standard output. With
--json they are in base64, in the field "data". On a terminal cat writes only text,
unless --raw is given.`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindMemory),
		RunE: func(c *cobra.Command, args []string) error {
			return runCat(c.Context(), a, o, args[0])
		},
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	c.Flags().Var(sizeFlag{&o.offset, 0}, "offset", "begin at this offset")
	c.Flags().Var(sizeFlag{&o.length, 0}, "length", "write this many bytes; 0: all up to the end")
	addRaw(c, &o.raw)
	return c
}

func runCat(ctx context.Context, a *app, o catOptions, name string) (err error) {
	opts := o.options(samepage.KindMemory)
	opts.Access = samepage.ReadOnly
	m, err := samepage.Open(name, opts)
	if err != nil {
		return o.notThere(samepage.KindMemory, name, err)
	}
	defer closing(m, &err)
	return catPart(ctx, a, m, name, "cat", o.offset, o.length, o.raw)
}

// catPart writes n bytes of m from offset on; n 0: all from there. name is the name in the
// JSON output, verb the verb in the errors.
func catPart(ctx context.Context, a *app, m *samepage.Memory, name, verb string, offset, n int64, raw bool) error {
	if n == 0 {
		n = m.Size() - offset
	}
	if offset > m.Size() || n > m.Size()-offset {
		return fmt.Errorf("%s %s at offset %d of %v: %w", verb, numBytes(max(n, 0)), offset, m, samepage.ErrRange)
	}
	r := io.NewSectionReader(m, offset, n)
	if a.json {
		return catJSON(ctx, a, m, name, offset, r)
	}
	p := newProgress(a.notes(), n)
	defer p.done()
	out := a.payload(raw)
	if _, err := copyBytes(ctx, out, r, p); err != nil {
		return err
	}
	return out.end()
}

// catJSON writes the JSON object piece by piece, since it may be large.
func catJSON(ctx context.Context, a *app, m *samepage.Memory, name string, offset int64, r *io.SectionReader) error {
	head, err := json.Marshal(struct {
		Name   string `json:"name"`
		Size   int64  `json:"size"`
		Offset int64  `json:"offset"`
		Length int64  `json:"length"`
	}{name, m.Size(), offset, r.Size()})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(visibleJSON{a.stdout}, "%s,\"data\":\"", head[:len(head)-1]); err != nil {
		return err
	}
	p := newProgress(a.notes(), r.Size())
	defer p.done()
	b64 := base64.NewEncoder(base64.StdEncoding, a.stdout)
	if _, err := copyBytes(ctx, b64, r, p); err != nil {
		return err
	}
	if err := b64.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, `"}`)
	return err
}

// copyBytes is an io.Copy that ends when ctx ends, even while a read or a write blocks. It
// reports its progress to p.
func copyBytes(ctx context.Context, w io.Writer, r io.Reader, p *progress) (int64, error) {
	var done atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- copyPieces(ctx, w, r, p, &done) }()
	select {
	case err := <-ended:
		return done.Load(), err
	case <-ctx.Done():
		// The copy may be blocked for ever. Its goroutine is left behind: an object that is
		// closed refuses its calls, and the process ends soon.
		return done.Load(), ctx.Err()
	}
}

func copyPieces(ctx context.Context, w io.Writer, r io.Reader, p *progress, done *atomic.Int64) error {
	buf := make([]byte, copyPiece)
	for {
		n, rerr := r.Read(buf)
		if err := ctx.Err(); err != nil {
			return err
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			p.at(done.Add(int64(n)))
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
	}
}
