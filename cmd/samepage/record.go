package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/record"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
)

type recordOptions struct {
	object
	output      string
	compression string
	jpeg        int
	splitSize   int64
	splitTime   time.Duration
	buffer      int64
	from        pubsub.From
	bestEffort  bool
	length      time.Duration
	once        bool
	last        time.Duration
	trigger     string
}

func newRecordCommand(a *app) *cobra.Command {
	var o recordOptions
	c := &cobra.Command{
		Use:   "record NAME...",
		Short: "Record topics and cells into a file",
		Long: `record writes the messages of topics, and the values of cells, into an MCAP file, which
samepage play plays and many other programs read. A NAME may be a pattern: * stands for
any characters, ? for one, and [a-z] for one of these. Topics and cells that appear
later are recorded, too, and so is the next object of a name when one has gone.

record goes on until it is interrupted with Ctrl-C, or until --for or --once end it. It
then prints what it has recorded. If it is killed, the file has all messages but those
of the last part of a second: samepage play plays it as it is, and samepage info
--repair makes a whole file of it for other programs.

record is a reliable subscriber: publishers wait for it if the disk is too slow for
longer than --buffer lasts. With --best-effort they do not wait. The messages that it
missed are counted, in the file and at the end.

With --jpeg frames are recorded as JPEG. This is lossy: what play makes of them has the
same size and format, and pixels that are only nearly the same. Frames with alpha or
with more than 8 bits a sample are recorded without loss, and record says so.

With --last 30s record keeps the last 30 seconds in memory. It writes them into a file
each time that somebody sets the event --trigger, with samepage event set or in a
program. record makes the event if it does not exist.`,
		Example: `  samepage record -o drive.mcap 'cam*' pose
  samepage record -o 'day-%03d.mcap' --split-size 1GiB --compression zstd '*'
  samepage record -o test.mcap --once log
  samepage record -o long.mcap --jpeg 80 'cam*'
  samepage record -o 'crash-%d.mcap' --last 30s --trigger crashed 'cam*' log`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "a NAME is missing")
			}
			return nil
		},
		ValidArgsFunction: completeNames(true, samepage.KindTopic, samepage.KindCell),
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := o.check(c, a, args)
			if err != nil {
				return err
			}
			return runRecord(c.Context(), a, &o, opts, args)
		},
	}
	f := c.Flags()
	o.addFlags(c)
	f.StringVarP(&o.output, "output", "o", "", "`file` to write; with --split-size, --split-time or --last its name has a number, such as %03d")
	f.StringVar(&o.compression, "compression", "none", "compress with `none|lz4|zstd`")
	f.IntVar(&o.jpeg, "jpeg", 0, "record frames as JPEG of this `quality`, 1 to 100: the pixels are only nearly the same")
	f.Var(sizeFlag{&o.splitSize, 1}, "split-size", "begin a new file when one would have more bytes")
	f.DurationVar(&o.splitTime, "split-time", 0, "begin a new file before one has messages of a longer `time`")
	o.buffer = 256 << 20
	f.Var(sizeFlag{&o.buffer, 16 << 20}, "buffer", "how many bytes may wait for the disk")
	f.Var(fromFlag{&o.from}, "from", "begin with the oldest message of the history, with its newest, or with the next message")
	f.BoolVar(&o.bestEffort, "best-effort", false, "never make a publisher wait; miss messages instead")
	f.DurationVar(&o.last, "last", 0, "keep only the messages of this `time`, as far as --buffer goes, and write them at each --trigger")
	f.StringVar(&o.trigger, "trigger", "", "with --last: the `event` whose set writes a file; samepage event set sets it")
	f.DurationVar(&o.length, "for", 0, "end after this `time`")
	f.BoolVar(&o.once, "once", false, "end when each NAME was found, and all their streams have ended")
	completeChoices(c, "from", "oldest", "newest", "now")
	completeChoices(c, "compression", "none", "lz4", "zstd")
	return c
}

// check checks the flags.
func (o *recordOptions) check(c *cobra.Command, a *app, patterns []string) (record.Options, error) {
	r := record.Options{
		Path: o.output, Buffer: o.buffer, SplitSize: o.splitSize, SplitTime: o.splitTime,
		Library: "samepage " + thisVersion().String(), Owner: o.owner, From: o.from, BestEffort: o.bestEffort, Last: o.last, JPEG: o.jpeg,
		Note: func(text string) { fmt.Fprintln(a.notes(), "samepage: "+visible(text)) },
	}
	several := o.splitSize > 0 || o.splitTime > 0 || o.last > 0
	switch {
	case o.output == "":
		return r, usage(c, "-o FILE is missing")
	case several && !numbered.MatchString(o.output):
		return r, usage(c, "%q is not the name of many files: %w", o.output, errNoNumber)
	case !several && numbered.MatchString(o.output):
		return r, usage(c, "%q has a place for a number, and there is only one file: want --split-size, --split-time or --last, or another name", o.output)
	case c.Flags().Changed("jpeg") && (o.jpeg < 1 || o.jpeg > 100):
		return r, usage(c, "--jpeg is %d, want 1 to 100", o.jpeg)
	case o.splitTime < 0 || o.length < 0 || o.last < 0:
		return r, usage(c, "a time is negative")
	case (o.last > 0) != (o.trigger != ""):
		return r, usage(c, "--last and --trigger need each other")
	case o.last > 0 && o.splitSize > 0 || o.last > 0 && o.splitTime > 0:
		return r, usage(c, "--last writes a file for each trigger, so it excludes --split-size and --split-time")
	}
	for _, p := range patterns {
		_, name := scoped(p, o.scope)
		if _, err := path.Match(name, ""); err != nil {
			return r, usage(c, "%q is no pattern: %w", p, err)
		}
		if err := layout.CheckName(name); !isPattern(name) && err != nil {
			return r, usage(c, "%q: %w", p, err)
		}
	}
	how, err := record.ParseCompression(o.compression)
	if err != nil {
		return r, usage(c, "--compression: %w", err)
	}
	r.Compression = how
	return r, nil
}

// recorded is what record has recorded.
type recorded struct {
	Files  []string       `json:"files"`
	Topics []record.Total `json:"topics"`
}

func (r recorded) text(w io.Writer) error {
	for _, t := range r.Topics {
		line := fmt.Sprintf("recorded %v %s: %s, %s", t.Kind, plain(t.Name), count64(t.Messages, "message"), formatSize(int64(t.Bytes)))
		if t.Kind == samepage.KindTopic {
			line += fmt.Sprintf(", %d missed", t.Missed)
		}
		if t.Lost > 0 {
			line += fmt.Sprintf(", %d lost", t.Lost)
		}
		if t.Damaged > 0 {
			line += fmt.Sprintf(", %d damaged", t.Damaged)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if n := len(r.Files); n > 1 {
		if _, err := fmt.Fprintf(w, "wrote %s, %s to %s\n", count(n, "file"), plain(r.Files[0]), plain(r.Files[n-1])); err != nil {
			return err
		}
	}
	return nil
}

func runRecord(ctx context.Context, a *app, o *recordOptions, opts record.Options, patterns []string) (err error) {
	r, err := record.New(opts)
	if err != nil {
		return noFile(err)
	}
	if o.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.length)
		defer cancel()
	}
	f := &finder{a: a, o: o, r: r, patterns: patterns, begun: map[found]bool{}}
	if o.trigger != "" {
		e, _, eerr := ipcsync.OpenOrCreateEvent(o.trigger, &ipcsync.EventOptions{Scope: o.scope, Owner: o.owner})
		if eerr != nil {
			_, _, cerr := r.Close()
			return errors.Join(eerr, cerr)
		}
		defer func() { err = errors.Join(err, e.Close()) }()
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(ctx)
		var terr error
		wg.Go(func() { terr = waitTriggers(ctx, a, r, e) })
		err = f.run(ctx)
		cancel()
		wg.Wait()
		err = errors.Join(err, terr)
	} else {
		err = f.run(ctx)
	}
	totals, files, cerr := r.Close()
	return errors.Join(err, cerr, a.summary(recorded{files, totals}))
}

// waitTriggers writes a file each time that the event is set. It returns an error if it could not
// write all of them.
func waitTriggers(ctx context.Context, a *app, r *record.Recorder, e *ipcsync.Event) (failed error) {
	for e.Wait(ctx) == nil && e.Reset() == nil { // a manual-reset event would stay set
		file, err := r.Trigger(ctx)
		switch {
		case ctx.Err() != nil:
			return failed
		case err != nil:
			fmt.Fprintln(a.stderr, message(err))
			failed = fmt.Errorf("a file of --trigger is not complete: %w", err)
		default:
			fmt.Fprintf(a.notes(), "samepage: wrote %s\n", plain(file))
		}
	}
	return failed
}

// found is a topic or a cell that is recorded.
type found struct {
	kind  samepage.Kind
	scope samepage.Scope
	name  string
}

// finder finds what is to be recorded, also what appears later.
type finder struct {
	a        *app
	o        *recordOptions
	r        *record.Recorder
	patterns []string

	begun map[found]bool
	wg    sync.WaitGroup
	mu    sync.Mutex
	err   error // the first one
}

// lookEvery is how often the finder looks for new names.
const lookEvery = 50 * time.Millisecond

func (f *finder) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fail := func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil {
			f.err = errors.Join(f.err, err)
			cancel()
		}
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for first := true; ctx.Err() == nil; first = false {
		missing, err := f.look(ctx, fail)
		fail(err)
		if f.o.once && len(missing) == 0 {
			break
		}
		if first && len(missing) > 0 && err == nil {
			fmt.Fprintf(f.a.notes(), "samepage: waiting for %s\n", strings.Join(missing, ", "))
		}
		select {
		case <-t.C:
		case <-f.r.Failed():
			cancel() // Close tells the error
		case <-ctx.Done():
		}
	}
	f.wg.Wait()
	return f.err
}

// look begins to record what has appeared. It returns the patterns that have found nothing yet.
func (f *finder) look(ctx context.Context, fail func(error)) (missing []string, err error) {
	infos, err := samepage.List()
	if err != nil {
		return nil, err
	}
	for _, p := range f.patterns {
		scope, pattern := scoped(p, f.o.scope)
		any := slices.ContainsFunc(slices.Collect(maps.Keys(f.begun)), func(k found) bool { return k.scope == scope && matches(pattern, k.name) })
		for _, i := range infos {
			k := found{i.Kind, i.Scope, i.Name}
			if i.Kind != samepage.KindTopic && i.Kind != samepage.KindCell || i.Scope != scope || !matches(pattern, i.Name) {
				continue
			}
			any = true
			if f.begun[k] {
				continue
			}
			f.begun[k] = true
			f.wg.Go(func() {
				if k.kind == samepage.KindCell {
					fail(f.r.Cell(ctx, scope, i.Name))
				} else {
					fail(f.r.Topic(ctx, scope, i.Name, f.o.once))
				}
			})
		}
		if !any {
			missing = append(missing, plain(p))
		}
	}
	return missing, nil
}
