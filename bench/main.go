// Command bench measures what this module does, and what others do, against limits of the
// machine. C programs measure the limits.
//
// A raw figure means little if the host moves virtual cores. So each round runs limit,
// subject, limit, and the result is the ratio. A round is dropped if the two limits differ by
// more than a fifth, or if the mood changed between them. The mood is how near the two cores
// are to each other; a spinning ping-pong beside each limit shows it. Rounds of different
// moods are not mixed. The subjects of one limit take turns. The figures are for people; no
// test depends on them.
//
// A goal is for the median ratio in one mood. If fewer than three rounds of one mood count for a
// subject, the subject gets more rounds. If that does not help, the exit status is 1. At its end,
// a run tells what was dropped and why, and which goals are not met. Peers that are not installed
// are listed as left out.
//
//	go run ./bench [-run REGEXP] [-rounds N] [-seconds S] [-json FILE] [-list]
//
// The pages and plots are made from runs, or again from the runs of the last time:
//
//	go run ./bench -docs . [FILE ...]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	if name := os.Getenv(roleEnv); name != "" {
		if err := runRole(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(130)
	case !errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(1)
}

// task is what the command line asks for.
type task struct {
	rounds  int
	seconds float64
	json    string
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	var t task
	only := flags.String("run", "", "run the subjects that match this `regexp`, as GROUP/NAME")
	flags.IntVar(&t.rounds, "rounds", 11, "`number` of rounds for each subject")
	flags.Float64Var(&t.seconds, "seconds", 0.2, "length of each measurement; for idle waiters fifty times as long")
	flags.StringVar(&t.json, "json", "", "also write all rounds to this `file`, for -docs")
	docs := flags.String("docs", "", "only make the pages and plots of the repository in this `folder`, "+
		"from the -json files of runs, or from the JSON files of the last time")
	list := flags.Bool("list", false, "only list the subjects")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *docs != "" {
		return writeDocs(*docs, flags.Args())
	}
	if flags.NArg() > 0 || t.rounds < 1 || t.seconds <= 0 {
		return fmt.Errorf("want no arguments, -rounds of at least 1 and -seconds above 0")
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var chosen []subject
	for _, s := range subjects() {
		if match.MatchString(s.id()) && (*list || s.here()) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no subject that can be measured here matches %q; -list lists all", *only)
	}
	if *list {
		for _, s := range chosen {
			line := fmt.Sprintf("%-52s against %s", s.id(), s.limit)
			if g := s.goal.all(s.unit); g != "" {
				line += ", goal " + g
			}
			_, _ = fmt.Fprintln(out, line)
		}
		return nil
	}
	return measureAll(ctx, chosen, t, out, progress)
}

// save writes the report to a file, if there is a name.
func (all *report) save(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
