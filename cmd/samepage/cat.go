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

// copyPiece is how much is copied between two looks at Ctrl-C.
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
--json they are in base64, in the member "data" of the object. To a terminal it writes
text only, unless --raw says otherwise.`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindMemory),
		RunE: func(c *cobra.Command, args []string) error {
			return runCat(c.Context(), a, o, args[0])
		},
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	c.Flags().Var(sizeFlag{&o.offset, 0}, "offset", "begin here")
	c.Flags().Var(sizeFlag{&o.length, 0}, "length", "write so many bytes; 0: to the end")
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

// catPart writes n bytes of m at offset, or all from there for n 0. name is what --json
// tells, verb what errors do.
func catPart(ctx context.Context, a *app, m *samepage.Memory, name, verb string, offset, n int64, raw bool) error {
	if n == 0 {
		n = m.Size() - offset
	}
	if offset > m.Size() || n > m.Size()-offset {
		return fmt.Errorf("%s %s at %d of %v: %w", verb, numBytes(max(n, 0)), offset, m, samepage.ErrRange)
	}
	r := io.NewSectionReader(m, offset, n)
	if a.json {
		return catJSON(ctx, a, m, name, offset, r)
	}
	p := newProgress(a.stderr, n)
	defer p.done()
	out := a.payload(raw)
	if _, err := copyBytes(ctx, out, r, p); err != nil {
		return err
	}
	return out.end()
}

// catJSON writes the object piece by piece, for it may be large.
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
	p := newProgress(a.stderr, r.Size())
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

// copyBytes is io.Copy that ends with ctx, also while a read or a write blocks,
// and tells how far it is.
func copyBytes(ctx context.Context, w io.Writer, r io.Reader, p *progress) (int64, error) {
	var done atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- copyPieces(ctx, w, r, p, &done) }()
	select {
	case err := <-ended:
		return done.Load(), err
	case <-ctx.Done():
		// The copy may be blocked for good. What it may still touch refuses
		// that once it is closed, and the process ends.
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
