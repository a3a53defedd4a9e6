package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/option"
	"samepage/legacy/sharememory"
)

// lockPatience is how long the commands wait for a lock by default.
const lockPatience = 10 * time.Second

type shareOptions struct {
	sharememory.Options
	waiting
	size int64
	raw  bool
	once bool
}

func newLegacyShareMemoryCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "sharememory",
		Short: "Read and write the latest value of a ShareMemory",
		Long: `A ShareMemory is a block with one latest value and a checksum, under a reader/writer lock
made of two files. There are two layouts. In layout seed the section is
ShareMemoryMap-NAME. In layout head, which is newer, it is SMM-NAME, and the names of the
lock files begin with the time of boot.

The block goes when the last program that has it open closes it or ends.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newShareReadCommand(a), newShareWriteCommand(a), newShareStatCommand(a))
	return c
}

// newShareVerb adds what the commands have in common.
func newShareVerb(o *shareOptions, otherwise string, c *cobra.Command) *cobra.Command {
	c.Args = names(1, 1)
	c.ValidArgsFunction = cobra.NoFileCompletions
	f := c.Flags()
	f.Var(shareLayoutFlag{&o.Layout}, "layout", "layout of the block")
	f.StringVar(&o.Lock.Dir, "lock-dir", "", "`folder` of the lock files (default: where the C++ programs have it)")
	f.Int64Var(&o.Lock.Boot, "boot", 0, "`time` of boot in the names of the lock files in layout head, in seconds since 1970; -1: unknown (default: what the system says)")
	f.Lookup("boot").DefValue = "0" // the text above says it
	o.addTimeout(c, otherwise)
	completeChoices(c, "layout", sharememory.Seed.String(), sharememory.Head.String())
	return c
}

type shareLayoutFlag struct{ p *sharememory.Layout }

func (f shareLayoutFlag) String() string {
	if f.p == nil { // pflag asks a zero value
		return sharememory.Seed.String()
	}
	return f.p.String()
}

func (shareLayoutFlag) Type() string { return "seed|head" }

func (f shareLayoutFlag) Set(s string) error {
	for _, l := range []sharememory.Layout{sharememory.Seed, sharememory.Head} {
		if s == l.String() {
			*f.p = l
			return nil
		}
	}
	return errors.New("want seed or head")
}

// shareTimeout and lockTimeout say what the commands do without --timeout.
const (
	shareTimeout = "do not wait for the block, and wait 10s for its lock"
	lockTimeout  = "wait 10s for the lock"
)

func newShareReadCommand(a *app) *cobra.Command {
	var o shareOptions
	c := newShareVerb(&o, shareTimeout, &cobra.Command{
		Use:   "read NAME",
		Short: "Write the value to standard output, as it is",
		Long: `read writes the value to standard output, as it is. Before the first value it writes
nothing. If the checksum does not match, read fails and writes nothing.

With --json it prints {"name", "layout", "size", "text"}. A value that is not UTF-8 has
"data" in base64 instead of "text".`,
		Example: `  samepage legacy sharememory read settings
  samepage legacy sharememory read settings --layout head --timeout 1m`,
		RunE: func(c *cobra.Command, args []string) error { return runShareRead(c.Context(), a, &o, args[0]) },
	})
	addRaw(c, &o.raw)
	return c
}

func newShareWriteCommand(a *app) *cobra.Command {
	var o shareOptions
	c := newShareVerb(&o, lockTimeout, &cobra.Command{
		Use:   "write NAME",
		Short: "Make standard input the value, and keep the block open until Ctrl-C",
		Long: `write reads standard input to its end and makes that the value. If the block does not
exist, it makes a block for values of up to --size bytes, or without --size for values as
large as this one. A block lives only while a program has it open. So write stays until
Ctrl-C, and says so on standard error.

With --once it writes to a block that another program has open, and ends. If there is no
such block, the exit code is 3: a block that write made would not outlive it.

A value that is too large for the block is refused.`,
		Example: `  samepage legacy sharememory write settings --size 64KiB <settings.json
  echo 25 | samepage legacy sharememory write rate --once`,
		RunE: func(c *cobra.Command, args []string) error {
			if o.once && o.size != 0 {
				return usage(c, "--once makes no block, and --size is for a block that is made")
			}
			return runShareWrite(c.Context(), a, &o, args[0])
		},
	})
	c.Flags().BoolVar(&o.once, "once", false, "write to a block that another program has open, and end")
	c.Flags().Var(sizeFlag{&o.size, 1}, "size", "room for a value in a block that has to be made (default: the size of the value)")
	return c
}

func newShareStatCommand(a *app) *cobra.Command {
	var o shareOptions
	return newShareVerb(&o, shareTimeout, &cobra.Command{
		Use:   "stat NAME",
		Short: "Show the header, and whether all is well",
		Long: `stat shows the fields of the header and what follows from them. If the block is damaged,
for instance if the checksum does not match, stat says so last, and the exit code is 1.`,
		RunE: func(c *cobra.Command, args []string) error { return runShareStat(c.Context(), a, &o, args[0]) },
	})
}

// lockLimit returns ctx with the time limit for locks.
func (o *shareOptions) lockLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	if !o.given {
		return context.WithTimeout(ctx, lockPatience)
	}
	return o.within(ctx)
}

// open opens a block, and waits for it if --timeout was given.
func (o *shareOptions) open(ctx context.Context, name string) (*sharememory.Reader, error) {
	if !o.given {
		r, err := sharememory.OpenReader(name, &o.Options)
		return r, o.notThere(name, err)
	}
	r, err := sharememory.AwaitReader(ctx, name, &o.Options)
	return r, o.notThere(name, err)
}

// notThere returns err with the text that all commands have for a missing block, or for a
// missing folder of --lock-dir.
func (o *shareOptions) notThere(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		other := sharememory.Options{Layout: sharememory.Seed + sharememory.Head - o.Layout, Lock: o.Lock}
		hint := ""
		if r, oerr := sharememory.OpenReader(name, &other); oerr == nil {
			_ = r.Close()
			hint = fmt.Sprintf(" (there is one of layout %v)", other.Layout)
		}
		return &missingError{fmt.Sprintf("there is no ShareMemory %q of layout %v%s", name, o.Layout, hint), err}
	case errors.Is(err, samepage.ErrStore) && o.Lock.Dir != "":
		if _, serr := os.Stat(o.Lock.Dir); errors.Is(serr, fs.ErrNotExist) {
			return &noFileError{err}
		}
	}
	return err
}

// shareValue is a value in JSON.
type shareValue struct {
	Name   string  `json:"name"`
	Layout string  `json:"layout"`
	Size   int     `json:"size"`
	Text   *string `json:"text,omitempty"`
	Data   *string `json:"data,omitempty"`
}

func (v *shareValue) text(io.Writer) error { return errors.ErrUnsupported } // written as it is

func runShareRead(ctx context.Context, a *app, o *shareOptions, name string) (err error) {
	limit, cancel := o.lockLimit(ctx)
	defer cancel()
	r, err := o.open(limit, name)
	if err != nil {
		return err
	}
	defer closing(r, &err)
	b, err := r.Append(limit, nil)
	if err != nil {
		return err
	}
	if !a.json {
		return a.writeAll(ctx, b, o.raw)
	}
	v := &shareValue{Name: name, Layout: o.Layout.String(), Size: len(b)}
	if s := string(b); utf8.ValidString(s) {
		v.Text = &s
	} else {
		data := base64.StdEncoding.EncodeToString(b)
		v.Data = &data
	}
	return a.printer().print(v)
}

// shareWritten describes what was done.
type shareWritten struct {
	Name     string `json:"name"`
	Layout   string `json:"layout"`
	Size     int    `json:"size"`     // of the value
	Capacity int    `json:"capacity"` // of the block
	Created  bool   `json:"created"`
	Held     bool   `json:"held"`
}

func (r shareWritten) text(w io.Writer) error {
	tail := ""
	if r.Created {
		tail = " (created)"
	}
	if r.Held {
		tail += "; held until Ctrl-C"
	}
	_, err := fmt.Fprintf(w, "ShareMemory %s: the value has %s, of %d%s\n", plain(r.Name), count(r.Size, "byte"), r.Capacity, tail)
	return err
}

func runShareWrite(ctx context.Context, a *app, o *shareOptions, name string) (err error) {
	if err := option.Range("size", o.size, 0, math.MaxInt32); err != nil { // before it becomes an int
		return err
	}
	in, err := newInput(a.stdin).buffered(ctx, maxBuffered)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	limit, cancel := o.lockLimit(ctx)
	defer cancel()
	var w *sharememory.Writer
	existed, size := true, int(o.size)
	if size == 0 {
		w, err = sharememory.OpenWriter(limit, name, &o.Options)
		size = max(len(b), 1)
	}
	if o.size != 0 || !o.once && errors.Is(err, fs.ErrNotExist) {
		w, existed, err = sharememory.OpenOrCreateWriter(limit, name, size, &o.Options)
	}
	if err != nil {
		return o.notThere(name, err)
	}
	defer closing(w, &err)
	if _, err := w.Write(limit, b); err != nil {
		return err
	}
	done := shareWritten{name, o.Layout.String(), len(b), w.Cap(), !existed, !o.once}
	if o.once {
		return a.printer().print(done)
	}
	if a.json {
		if err := a.printer().print(done); err != nil {
			return err
		}
	}
	if err := done.text(a.notes()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// shareStat describes the health of a block.
type shareStat struct {
	Name        string `json:"name"`
	Layout      string `json:"layout"`
	Section     string `json:"section"`
	LockFile    string `json:"lock_file"`
	Size        int64  `json:"size"` // of the section
	Capacity    int    `json:"capacity"`
	MemorySize  int32  `json:"memory_size"`
	HeadSize    int32  `json:"head_size"`
	ContentSize int32  `json:"content_size"`
	TailSize    int32  `json:"tail_size"`
	CRC         string `json:"crc"`
	Computed    string `json:"computed"`
	Good        bool   `json:"good"`
	Problem     string `json:"problem,omitempty"`
}

func (s shareStat) text(w io.Writer) error {
	state := "good"
	if !s.Good {
		state = s.Problem
	}
	return lines(
		w,
		[2]string{"name", plain(s.Name)},
		[2]string{"layout", s.Layout},
		[2]string{"section", plain(s.Section) + ", " + numBytes(s.Size)},
		[2]string{"lock", plain(s.LockFile) + ".{rlc,wlc}"},
		[2]string{"value", fmt.Sprintf("%s, of %d", numBytes(int64(s.ContentSize)), s.Capacity)},
		[2]string{"checksum", s.CRC + ", computed " + s.Computed},
		[2]string{"header", fmt.Sprintf("memory %d, head %d, tail %d", s.MemorySize, s.HeadSize, s.TailSize)},
		[2]string{"state", state},
	)
}

func runShareStat(ctx context.Context, a *app, o *shareOptions, name string) (err error) {
	limit, cancel := o.lockLimit(ctx)
	defer cancel()
	r, err := o.open(limit, name)
	if err != nil {
		return err
	}
	defer closing(r, &err)
	st, err := r.Stat(limit)
	if err != nil {
		return err
	}
	s := shareStat{
		Name: st.Name, Layout: st.Layout.String(), Section: st.Section, LockFile: st.LockFile, Size: st.Size, Capacity: st.Cap,
		MemorySize: st.MemorySize, HeadSize: st.HeadSize, ContentSize: st.ContentSize, TailSize: st.TailSize,
		CRC: fmt.Sprintf("%016x", st.CRC), Computed: fmt.Sprintf("%016x", st.Computed), Good: st.Problem == nil,
	}
	if st.Problem != nil {
		s.Problem = st.Problem.Error()
	}
	if err := a.printer().print(s); err != nil {
		return err
	}
	if st.Problem != nil {
		return fmt.Errorf("stat ShareMemory %q: %w", name, st.Problem)
	}
	return nil
}
