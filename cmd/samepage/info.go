package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samepage/cmd/samepage/internal/record"
)

func newInfoCommand(a *app) *cobra.Command {
	var repair string
	var check bool
	c := &cobra.Command{
		Use:   "info FILE",
		Short: "Tell what is in a recording",
		Long: `info tells what is in an MCAP file: its topics and cells, how many messages they have and
at which rate, how many messages the recorder missed and when (in time since the first
message), and how long the recording is.

If the recorder was killed, the file has no end: info then reads all of the file, and
tells what is whole. With --repair it also writes these messages, with an end, into
another file, for programs that need the end.

A damaged chunk, of which the checksum is wrong, is left out. info tells where it is and
how many messages are lost, and its exit code is 1. It reads only the chunks that it
needs. With --check or --repair it reads all. In the file of --repair no program reads
the damaged chunks any more.`,
		Example: `  samepage info drive.mcap
  samepage info drive.mcap --check
  samepage info cut.mcap --repair whole.mcap`,
		Args:              file,
		ValidArgsFunction: completeFiles,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := record.Open(args[0])
			if err != nil {
				return noFile(err)
			}
			defer func() { _ = f.Close() }()
			if check || repair != "" {
				f.Check()
			}
			i, err := f.Info()
			if err != nil {
				return err
			}
			if repair != "" {
				if sameFile(args[0], repair) {
					return usage(c, "--repair is the file itself: want another one")
				}
				if err := replaceFileWith(repair, f.Repair); err != nil {
					return err
				}
			}
			return errors.Join(a.printer().print(recordingInfo{i}), damageError(i.DamagedChunks))
		},
	}
	c.Flags().BoolVar(&check, "check", false, "read all of the file, and find all damaged chunks")
	c.Flags().StringVar(&repair, "repair", "", "write what is whole into this `file`, with an end")
	return c
}

// file checks that a command has one argument, the path of a file.
func file(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(c, "one FILE is expected, got %q", args)
	}
	return nil
}

func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"mcap"}, cobra.ShellCompDirectiveFilterFileExt
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

type recordingInfo struct{ i *record.Info }

func (r recordingInfo) MarshalJSON() ([]byte, error) { return json.Marshal(r.i) }

func (r recordingInfo) text(w io.Writer) error {
	i := r.i
	length := time.Duration(i.Seconds * float64(time.Second))
	events, and := uint64(len(i.Events)), ""
	if events > 0 {
		and = " and " + count(len(i.Events), "event")
	}
	pairs := [][2]string{
		{"file", plain(i.File) + ", " + formatSize(i.Size)},
		{"messages", fmt.Sprintf("%d%s in %s, compression: %s", i.Messages-events, and, count(i.Chunks, "chunk"), strings.Join(append([]string(nil), i.Compression...), ", "))},
	}
	if i.Messages > 0 {
		pairs = append(pairs, [2]string{"time", i.Begin.Local().Format("2006-01-02 15:04:05.000") + ", " + roundDuration(length).String()})
	}
	if i.Lost != "" {
		pairs = append(pairs, [2]string{"cut", fmt.Sprintf("%s; %s are lost", i.Lost, numBytes(i.LostBytes))})
	}
	for _, text := range damageTexts(i.DamagedChunks, i.Begin) {
		pairs = append(pairs, [2]string{"damaged", text})
	}
	if err := lines(w, pairs...); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tMESSAGES\tRATE\tMISSED\tTYPE")
	for _, x := range i.Topics {
		kind, of := x.Kind, strings.Join(x.Schema, ", ")
		if kind == "" {
			kind = "-"
		}
		if of == "" {
			of = strings.Join(x.Encoding, ", ")
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\n", plain(x.Topic), kind, x.Messages, formatRate(x.Rate), x.Missed, plain(of))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.gaps(w)
}

// mostDamages is how many damaged chunks are told.
const mostDamages = 20

// damageTexts tells which chunks are damaged, in times since the first message of the recording.
func damageTexts(all []record.Damage, begin time.Time) (texts []string) {
	for i, d := range all {
		if i == mostDamages {
			return append(texts, fmt.Sprintf("and %s more", count(len(all)-i, "chunk")))
		}
		text := fmt.Sprintf("the chunk at byte %d, %s", d.Offset, formatSize(d.Size))
		if !d.Begin.IsZero() {
			text += fmt.Sprintf(", of the time %v to %v", roundDuration(d.Begin.Sub(begin)), roundDuration(d.End.Sub(begin)))
		}
		texts = append(texts, text+": "+lostText(d)+"; "+visible(d.Why))
	}
	return texts
}

// lostText tells which messages a damaged chunk had.
func lostText(d record.Damage) string {
	var of []string
	for _, name := range slices.Sorted(maps.Keys(d.Lost)) {
		of = append(of, fmt.Sprintf("%d of %s", d.Lost[name], plain(name)))
	}
	text := count64(d.Messages, "message") + " lost"
	switch {
	case d.Unknown && d.Messages == 0:
		return "it is not known which messages are lost"
	case d.Unknown:
		text = "at least " + text
	}
	return text + " (" + strings.Join(of, ", ") + ")"
}

// damageError is the error of a recording with damaged chunks; nil: there are none.
func damageError(all []record.Damage) error {
	if len(all) == 0 {
		return nil
	}
	lost, least := uint64(0), ""
	for _, d := range all {
		lost += d.Messages
		if d.Unknown {
			least = "at least "
		}
	}
	return fmt.Errorf("%s damaged, %s%s lost: %w", count(len(all), "chunk"), least, count64(lost, "message"), record.ErrCorrupt)
}

// mostGaps is how many gaps are told.
const mostGaps = 20

// gaps tells when messages are missing.
func (r recordingInfo) gaps(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for _, e := range r.i.Events {
		if e.Missed == 0 && e.Damaged == 0 {
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(t, "GAP BEFORE\tNAME\tWHAT")
		}
		if n <= mostGaps {
			fmt.Fprintf(t, "%s\t%s\t%s\n", roundDuration(e.Time.Sub(r.i.Begin)), plain(e.Topic), visible(e.Event.Event))
		}
	}
	if err := t.Flush(); err != nil || n <= mostGaps {
		return err
	}
	_, err := fmt.Fprintf(w, "and %d more gaps, which --json lists\n", n-mostGaps)
	return err
}
