// Command bench measures what this module does against the limits that the machine
// sets, as C programs measure them.
//
// A raw figure means little where virtual cores float: so each round runs limit,
// subject, limit, is dropped when the two limits disagree by more than a fifth, and
// counts by its ratio. The figures are for people; no test depends on them.
//
//	go run ./bench [-run REGEXP] [-rounds N] [-seconds S] [-json FILE] [-list]
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

func main() {
	if name := os.Getenv(roleEnv); name != "" {
		if err := runRole(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("run", "", "run the subjects whose names match this `regexp`")
	rounds := flags.Int("rounds", 11, "`number` of rounds for each subject")
	seconds := flags.Float64("seconds", 0.2, "length of each measurement")
	file := flags.String("json", "", "write the results to this `file`, too")
	list := flags.Bool("list", false, "list the subjects, and run nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *rounds < 1 || *seconds <= 0 {
		return fmt.Errorf("want no arguments, at least one round and some seconds")
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var chosen []subject
	for _, s := range subjects {
		if match.MatchString(s.name) {
			chosen = append(chosen, s)
		}
	}
	if *list {
		for _, s := range chosen {
			_, _ = fmt.Fprintf(out, "%-20s against %s, goal %s\n", s.name, s.limit, goal(s.goal))
		}
		return nil
	}
	return measureAll(chosen, *rounds, *seconds, *file, out)
}

func measureAll(chosen []subject, rounds int, seconds float64, file string, out io.Writer) error {
	b, err := newBench(seconds)
	if err != nil {
		return err
	}
	defer b.close()
	all := report{Machine: thisMachine(), Seconds: seconds}
	_, _ = fmt.Fprintf(out, "%s, %d CPUs, Linux %s, %s\n\n", all.Machine.CPU, all.Machine.CPUs, all.Machine.Kernel, all.Machine.Go)
	_, _ = fmt.Fprintf(out, "%-18s %-22s %9s %9s  %-22s %-7s %-6s %s\n",
		"subject", "limit", "limit", "subject", "ratio median (min max)", "goal", "rounds", "mood")
	for _, s := range chosen {
		r, err := b.measure(s, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		all.Results = append(all.Results, r)
		_, _ = fmt.Fprintln(out, r.line())
	}
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
