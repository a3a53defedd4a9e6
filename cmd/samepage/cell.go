package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/option"
	"samepage/internal/typed"
)

type cellOptions struct {
	object
	waiting
	size   int64
	create bool
	raw    bool
	count  uint64
}

// defaultCell is the size of the largest value of a new cell, in bytes, if neither --size nor
// the first value asks for more.
const defaultCell = 4096

func newCellCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cell",
		Short: "Write, read and watch a latest value",
		Long: `A cell has one value, the latest. The size of the largest value is set when the cell is
created. Readers always get a complete value, however fast it changes, and never make a
writer wait.

put --create creates the cell if it does not exist. The cell stays until
samepage rm --kind cell removes it.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCellGetCommand(a), newCellPutCommand(a), newCellWatchCommand(a))
	return c
}

// addCellFlags adds the flags of all commands on cells.
func (o *cellOptions) addCellFlags(c *cobra.Command) {
	c.ValidArgsFunction = completeNames(false, samepage.KindCell)
	o.addFlags(c)
}

// reader returns the options that find the cell.
func (o *cellOptions) reader() *cell.ReaderOptions {
	return &cell.ReaderOptions{Scope: o.scope, Owner: o.owner}
}

func newCellGetCommand(a *app) *cobra.Command {
	var o cellOptions
	c := &cobra.Command{
		Use:   "get NAME",
		Short: "Write the value to standard output, unchanged",
		Long: `get writes the value to standard output, unchanged. If there is no cell of that name,
or it has no value yet, the exit code is 3; with --timeout get waits for both. On a
terminal get writes only text, unless --raw is given, and ends the line.

With --json the output is {"name", "generation", "written", "size", "text"}. If the
value is not UTF-8, "data" in base64 replaces "text". In a cell of a Go type "value"
does: an object with the fields of the type, which the cell describes.

If all places for members are taken, get and watch say so, and read the cell without
joining it.`,
		Args: names(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return runCellGet(c.Context(), a, o, args[0])
		},
	}
	o.addCellFlags(c)
	addRaw(c, &o.raw)
	o.addTimeout(c, "do not wait")
	return c
}

func newCellPutCommand(a *app) *cobra.Command {
	var o cellOptions
	c := &cobra.Command{
		Use:   "put NAME [VALUE]",
		Short: "Make VALUE, or standard input, the latest value",
		Long: `put makes VALUE the latest value. Without VALUE it reads standard input up to its end.
If there is no cell of that name, --create or --size creates one, for values of up to
--size bytes. It stays until it is removed.

Writers take turns. If a writer is stopped during its turn, the others wait for it. With
--timeout put waits only that long: then the exit code is 7, and the error names the
writer that has its turn.`,
		Example: `  samepage cell put limit 250 --create
  samepage cell put settings <settings.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 2 {
				return usage(c, "a NAME and a VALUE are expected, got %q: quote a VALUE that has spaces", args)
			}
			return names(1, 2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runCellPut(c.Context(), a, o, args)
		},
	}
	o.addCellFlags(c)
	o.addRights(c.Flags())
	c.Flags().BoolVar(&o.create, "create", false, "create the cell if it does not exist")
	c.Flags().Var(sizeFlag{&o.size, 1}, "size", "create the cell if it does not exist, for values of up to this size (default 4KiB, or the size of the value if it is larger)")
	o.addTimeout(c, noLimit)
	return c
}

func newCellWatchCommand(a *app) *cobra.Command {
	var o cellOptions
	c := &cobra.Command{
		Use:   "watch NAME",
		Short: "Write the value, and each new value, as lines",
		Long: `watch writes the value and a line end, and does so again each time the value changes. If
the value changes several times in a short time, watch writes the last one. If the cell
does not exist, watch waits until somebody creates it. It ends with Ctrl-C, after
--count values, or if --timeout passes without a change: then the exit code is 7. On a
terminal watch writes escapes such as \x1b in place of control characters, and the
number of bytes in place of bytes that are not text, unless --raw is given.

With --json each value is a line with an object, as samepage cell get writes it.`,
		Args: names(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return runCellWatch(c.Context(), a, o, args[0])
		},
	}
	o.addCellFlags(c)
	c.Flags().Uint64VarP(&o.count, "count", "n", 0, "end after this `number` of values; 0: never")
	addRaw(c, &o.raw)
	o.addTimeout(c, noLimit)
	return c
}

// cellValue is a value in JSON.
type cellValue struct {
	Name       string          `json:"name"`
	Generation uint64          `json:"generation"`
	Written    *time.Time      `json:"written,omitempty"`
	Size       int             `json:"size"`
	Text       *string         `json:"text,omitempty"`
	Data       *string         `json:"data,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"` // of a Go type
}

func newCellValue(d *typed.Decoder, name string, v stored) (*cellValue, error) {
	s := string(v.Bytes())
	j := &cellValue{Name: name, Generation: v.Generation(), Size: len(s)}
	if t := v.Time(); !t.IsZero() {
		j.Written = &t
	}
	var err error
	if j.Value, err = d.JSON(v.Schema(), s); err != nil {
		return nil, fmt.Errorf("value %d of cell %q: %w", v.Generation(), name, err)
	}
	if j.Value != nil {
		// the value says it all
	} else if utf8.ValidString(s) {
		j.Text = &s
	} else {
		data := base64.StdEncoding.EncodeToString([]byte(s))
		j.Data = &data
	}
	return j, nil
}

func (v *cellValue) text(io.Writer) error { return errors.ErrUnsupported } // it is written unchanged

// stored is a value of a cell: one that a reader has loaded, or a copy.
type stored interface {
	Bytes() []byte
	Generation() uint64
	Time() time.Time
	Schema() string
}

// cellEnd gives the values of a cell: a reader does, or a bystander if all places are taken.
type cellEnd interface {
	// Changed waits until the latest value is not the one that was loaded last.
	Changed(ctx context.Context) error
	load() (v stored, ok bool, err error)
	Close() error
}

type cellReader struct{ *cell.Reader }

func (r cellReader) load() (stored, bool, error) {
	v, ok, err := r.Load()
	return &v, ok, err
}

type cellWatcher struct {
	*bystander
	m   inspect.Message
	has bool // m was not loaded yet
}

func (w *cellWatcher) Changed(ctx context.Context) (err error) {
	w.m, err = w.wait(ctx, w.m.Data, func() error { return nil })
	w.has = err == nil
	return err
}

func (w *cellWatcher) load() (_ stored, ok bool, err error) {
	if !w.has {
		w.m, w.has, err = w.Newest(w.m.Data)
	}
	ok, w.has = w.has, false
	return copied{w.m, w.schema}, ok, err
}

// end joins a cell by open. If all its places are taken, it watches the cell, and says so.
func (o *cellOptions) end(ctx context.Context, a *app, name string, open func() (*cell.Reader, error)) (cellEnd, error) {
	r, err := open()
	if err == nil {
		return cellReader{r}, nil
	}
	if !errors.Is(err, samepage.ErrTooManyMembers) {
		return nil, err
	}
	b, err := o.watch(ctx, a, samepage.KindCell, name, &inspect.WatchOptions{From: inspect.FromNewest})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(a.notes(), "samepage: all places of cell %s are taken, so this process reads it without joining\n", plain(name))
	return &cellWatcher{bystander: b}, nil
}

// openCell opens a cell. If there is a --timeout, it waits for the cell and its first value.
func openCell(ctx context.Context, a *app, o *cellOptions, name string) (cellEnd, error) {
	if !o.given {
		return o.end(ctx, a, name, func() (*cell.Reader, error) {
			r, err := cell.OpenReader(name, o.reader())
			return r, o.notThere(samepage.KindCell, name, err)
		})
	}
	ctx, cancel := o.within(ctx)
	defer cancel()
	r, err := o.await(ctx, a, name)
	if err != nil {
		return nil, err
	}
	if err := r.Changed(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// await waits for a cell to be made.
func (o *cellOptions) await(ctx context.Context, a *app, name string) (cellEnd, error) {
	return o.end(ctx, a, name, func() (*cell.Reader, error) {
		r, err := cell.AwaitReader(ctx, name, o.reader())
		return r, o.notYet(samepage.KindCell, name, err)
	})
}

func runCellGet(ctx context.Context, a *app, o cellOptions, name string) (err error) {
	r, err := openCell(ctx, a, &o, name)
	if err != nil {
		return err
	}
	defer closing(r, &err)
	v, ok, err := r.load()
	if err != nil {
		return err
	}
	if !ok {
		return &missingError{fmt.Sprintf("cell %q has no value yet", name), fs.ErrNotExist}
	}
	if a.json {
		j, err := newCellValue(new(typed.Decoder), name, v)
		if err != nil {
			return err
		}
		return a.printer().print(j)
	}
	return a.writeAll(ctx, v.Bytes(), o.raw)
}

// cellPut tells what was done.
type cellPut struct {
	Name       string `json:"name"`
	Generation uint64 `json:"generation"`
	Size       int    `json:"size"`     // of the value
	Capacity   int    `json:"capacity"` // of the cell
	Created    bool   `json:"created"`  // it did not exist and was created
}

func (r cellPut) text(w io.Writer) error {
	tail := ""
	if r.Created {
		tail = " (created)"
	}
	_, err := fmt.Fprintf(w, "cell %s: value %d has %s, of %d%s\n", plain(r.Name), r.Generation, count(r.Size, "byte"), r.Capacity, tail)
	return err
}

func runCellPut(ctx context.Context, a *app, o cellOptions, args []string) (err error) {
	name := args[0]
	var b []byte
	if len(args) == 2 {
		b = []byte(args[1])
	} else {
		in, err := newInput(a.stdin).buffered(ctx, maxBuffered)
		if err != nil {
			return err
		}
		if b, err = io.ReadAll(in); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	if err := option.Range("size", o.size, 0, min(math.MaxInt, math.MaxUint32)); err != nil { // before it becomes an int
		return err
	}
	size := max(int(o.size), 1)
	// A cell that exists keeps its size; only a new one gets one.
	_, err = samepage.Stat(name, o.options(samepage.KindCell))
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && !o.create && o.size == 0:
		return fmt.Errorf("%w; --create creates it", o.notThere(samepage.KindCell, name, err))
	case missing && o.size == 0:
		size = max(defaultCell, len(b))
	}
	w, existed, err := cell.OpenOrCreateWriter(name, size, &cell.Options{
		Scope: o.scope, Owner: o.owner, Perm: o.perm, SecurityDescriptor: o.sddl,
		Lifetime: samepage.Persist, Times: true, Checksums: true, AsItIs: true,
	})
	if err != nil {
		return err
	}
	defer closing(w, &err)
	if existed {
		var others []string
		if o.size != 0 && o.size != int64(w.Cap()) {
			others = append(others, fmt.Sprintf("--size (it has %d)", w.Cap()))
		}
		o.tellUnused(a.notes(), name, others...)
	}
	limit, cancel := o.within(ctx)
	defer cancel()
	if err := w.Set(limit, b); err != nil {
		return err
	}
	return a.printer().print(cellPut{name, w.Generation(), len(b), w.Cap(), !existed})
}

func runCellWatch(ctx context.Context, a *app, o cellOptions, name string) (err error) {
	c, cancel := o.within(ctx)
	r, err := o.await(c, a, name)
	cancel()
	if err != nil {
		return err
	}
	defer closing(r, &err)
	terminal := !o.raw && terminalOf(a.stdout) != nil
	var d typed.Decoder
	e := json.NewEncoder(visibleJSON{a.stdout})
	e.SetEscapeHTML(false)
	for n := uint64(0); o.count == 0 || n < o.count; {
		c, cancel := o.within(ctx)
		err := r.Changed(c)
		cancel()
		if err != nil {
			return err
		}
		v, ok, err := r.load()
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		n++
		if a.json {
			var j *cellValue
			if j, err = newCellValue(&d, name, v); err == nil {
				err = e.Encode(j)
			}
		} else {
			b := v.Bytes()
			if terminal {
				b = shown(bytes.Clone(b), "--raw")
			}
			if _, err = a.stdout.Write(b); err == nil {
				_, err = io.WriteString(a.stdout, "\n")
			}
		}
		if err != nil && readerGone(err) {
			return nil // the reader of the output has ended
		}
		if err != nil {
			return err
		}
	}
	return nil
}
