package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"samepage/cmd/samepage/internal/record"
)

type playOptions struct {
	object
	rate     float64
	loop     bool
	from, to time.Duration
	topics   []string
	rename   []string
	wait     int
	pause    bool
	limit    int64
}

func newPlayCommand(a *app) *cobra.Command {
	var o playOptions
	c := &cobra.Command{
		Use:   "play FILE",
		Short: "Play a recording into topics and cells",
		Long: `play publishes the messages of an MCAP file, as samepage record writes it, in the rhythm
in which they were recorded. It makes the topics and cells that the recording has, with
the same options and types. Messages keep the time of their publication. At the end of
the recording the streams end.

On a terminal a line tells where play is, and keys change it:
` + playKeys + `.

A file whose recorder was killed is played up to where it is whole. Damaged chunks are
left out: play tells at its end where they are and which messages were lost, and its
exit code is 1. Topics that another
program has recorded are played as the bytes that are in the file. A topic /camera/image
of such a file is played as camera.image, unless --rename gives it another name.`,
		Example: `  samepage play drive.mcap
  samepage play drive.mcap --rate 0.5 --loop --topics 'cam*'
  samepage play drive.mcap --from 1m30s --to 2m --rename cam=replay`,
		Args:              file,
		ValidArgsFunction: completeFiles,
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := o.check(c)
			if err != nil {
				return err
			}
			return runPlay(c, a, &o, opts, args[0])
		},
	}
	f := c.Flags()
	o.addFlags(c)
	f.Float64Var(&o.rate, "rate", 1, "how fast: a `number`, 1 is the original rhythm")
	f.BoolVar(&o.loop, "loop", false, "begin again at the end")
	f.DurationVar(&o.from, "from", 0, "begin this `time` after the first message")
	f.DurationVar(&o.to, "to", 0, "end this `time` after the first message (default: at the end)")
	f.StringSliceVar(&o.topics, "topics", nil, "play only topics and cells of these `names` or patterns")
	f.StringSliceVar(&o.rename, "rename", nil, "play a topic or a cell under another name: `old=new`")
	f.BoolVar(&o.pause, "pause", false, "begin in a pause")
	o.limit = record.DefaultLimit
	f.Var(sizeFlag{&o.limit, 1}, "limit", "refuse topics that take more memory")
	f.IntVar(&o.wait, "wait", 0, "begin when each topic has at least this `number` of reliable subscribers")
	return c
}

// check checks the flags.
func (o *playOptions) check(c *cobra.Command) (record.PlayOptions, error) {
	p := record.PlayOptions{Rate: o.rate, Loop: o.loop, From: o.from, To: o.to, Wait: o.wait, Scope: o.scope, Paused: o.pause, Limit: o.limit}
	names := map[string]string{}
	for _, r := range o.rename {
		from, to, ok := strings.Cut(r, "=")
		if !ok || from == "" || to == "" {
			return p, usage(c, "--rename is %q, want OLD=NEW", r)
		}
		names[from] = to
	}
	switch {
	case !(o.rate > 0 && o.rate <= 1e6):
		return p, usage(c, "--rate is %v, want a number above 0", o.rate)
	case o.from < 0 || o.to < 0 || o.to > 0 && o.to <= o.from:
		return p, usage(c, "--from %v --to %v is no part of a recording", o.from, o.to)
	case o.wait < 0:
		return p, usage(c, "--wait is negative")
	}
	if len(o.topics) > 0 {
		p.Want = func(name string) bool {
			for _, t := range o.topics {
				if matches(t, name) {
					return true
				}
			}
			return false
		}
	}
	p.Rename = func(name string) string {
		if to, ok := names[name]; ok {
			return to
		}
		return name
	}
	return p, nil
}

// played is what play has played.
type played struct {
	File     string  `json:"file"`
	Messages uint64  `json:"messages"`
	Seconds  float64 `json:"seconds"` // that it took
	// Damaged are the chunks that could not be read, with the messages that were not played.
	Damaged []record.Damage `json:"damaged_chunks,omitempty"`
}

func (p played) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "played %s in %v\n", count64(p.Messages, "message"), roundDuration(time.Duration(p.Seconds*float64(time.Second))))
	return err
}

// fits checks the flags against the recording.
func (o *playOptions) fits(c *cobra.Command, f *record.File) error {
	names := f.Names()
	var all []string
	for _, name := range names {
		all = append(all, plain(name))
	}
	for _, t := range o.topics {
		if !slices.ContainsFunc(names, func(name string) bool { return matches(t, name) }) {
			return usage(c, "--topics: nothing in the recording is called %q; it has %s", t, strings.Join(all, ", "))
		}
	}
	for _, r := range o.rename {
		if from, _, _ := strings.Cut(r, "="); !slices.Contains(names, from) {
			return usage(c, "--rename: nothing in the recording is called %q; it has %s", from, strings.Join(all, ", "))
		}
	}
	if o.from > f.Length() {
		return usage(c, "--from is %v, and the recording has %v", o.from, f.Length())
	}
	return nil
}

func runPlay(c *cobra.Command, a *app, o *playOptions, opts record.PlayOptions, path string) (err error) {
	ctx := c.Context()
	f, err := record.Open(path)
	if err != nil {
		return noFile(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := o.fits(c, f); err != nil {
		return err
	}
	if f.Lost != nil {
		fmt.Fprintf(a.notes(), "samepage: %s has no end (%s): play plays what is whole\n", plain(path), visible(f.Lost.Error()))
	}
	var at atomic.Pointer[record.Position]
	shown := a.onTerminal()
	if shown {
		opts.Progress = func(p record.Position) { at.Store(&p) }
	}
	p, err := record.NewPlayer(f, opts)
	if err != nil {
		return err
	}
	begin := time.Now()
	if shown {
		err = playOnTerminal(ctx, a, p, &at)
	} else {
		err = p.Play(ctx)
	}
	n := p.Played()
	if ctx.Err() != nil {
		err = nil // Ctrl-C ends it
	}
	damaged := p.Damaged()
	for _, text := range damageTexts(damaged, p.Begin()) {
		fmt.Fprintf(a.notes(), "samepage: damaged: %s\n", text)
	}
	return errors.Join(err, p.Close(), a.summary(played{path, n, time.Since(begin).Seconds(), damaged}), damageError(damaged))
}
