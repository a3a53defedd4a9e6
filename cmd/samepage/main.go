// Command samepage creates, shows, fills and removes shared memory and events. It publishes
// to topics and subscribes to them, and reads and writes cells. Its demo shows processes
// that work on shared pictures.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run does the work of main, and returns the exit code of the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	err = cmp.Or(flagError(c, err), a.helpErr)
	if err != nil && !a.told {
		fmt.Fprintln(stderr, message(err))
	}
	return exitCode(err)
}

// app is what all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json, quiet    bool
	told           bool  // the error of the command has already been printed
	helpErr        error // help was asked for on a command that does not exist
}

// notes is where commands write what is neither their output nor an error.
func (a *app) notes() io.Writer {
	if a.quiet {
		return io.Discard
	}
	return a.stderr
}

func (a *app) printer() printer {
	if a.json {
		return jsonPrinter{a.stdout}
	}
	return textPrinter{a.stdout}
}

// summary prints what a command has done at its end: in JSON as its output, and else as a note,
// because the output belongs to the data, or to nobody.
func (a *app) summary(r result) error {
	if a.json {
		return a.printer().print(r)
	}
	return r.text(visibleWriter{a.notes()})
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "samepage",
		Short: "Shared memory, events and topics between processes",
		Long: `samepage creates, shows, fills and removes named shared memory, cells, events, locks
and semaphores. It passes messages through topics: samepage pub publishes its standard
input, and samepage sub writes the messages to its standard output. samepage call
calls a service, and samepage serve answers calls with a command.

A name belongs to this user (scope local) or to the whole machine (scope global).
The prefixes Local\ and Global\ choose the scope, too. Objects of different kinds
may have the same name. A size is a number of bytes, or a number with a unit: kB,
MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB, and K, M, G and T, are
powers of 1024. The number may be a fraction, such as 1.5GiB, if it makes whole bytes.

With --timeout a command waits at most that long, at a time, for other processes; then
its exit code is 7. --timeout 0 does not wait. With --quiet it writes only errors to
standard error. Both mean the same in every command that has them.

` + exitHelp(),
		Version:       thisVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSubcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(badFlag)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON instead of text")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "write only errors to standard error")
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"objects", "Objects:", []*cobra.Command{
			newCreateCommand(a), newPutCommand(a), newCatCommand(a), newCellCommand(a), newEventCommand(a), newLockCommand(a),
			newSemaphoreCommand(a), newRmCommand(a), newCleanCommand(a),
		}},
		{"messages", "Messages and calls:", []*cobra.Command{
			newPubCommand(a), newSubCommand(a), newSnapshotCommand(a), newCallCommand(a), newServeCommand(a), newWorkerCommand(a),
		}},
		{"looking", "Looking:", []*cobra.Command{newLsCommand(a), newStatCommand(a), newHzCommand(a), newTopCommand(a), newWebCommand(a), newMetricsCommand(a), newDoctorCommand(a), newDemoCommand(a)}},
		{"recordings", "Recordings:", []*cobra.Command{newRecordCommand(a), newPlayCommand(a), newInfoCommand(a)}},
		{"others", "Other programs and machines:", []*cobra.Command{newBridgeCommand(a), newProxyCommand(a), newLegacyCommand(a)}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
		}
		root.AddCommand(g.commands...)
	}
	root.AddCommand(newVersionCommand(a), newManCommand(a), newDemoRoleCommand(a))
	strictDefaults(root)
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		// cobra gives help about the command that it has found, also if more words follow.
		if rest := c.Flags().Args(); c.HasAvailableSubCommands() && len(rest) > 0 {
			a.helpErr = noSubcommand(c, rest)
			return
		}
		help(c, args)
	})
	return root
}

// strictDefaults makes the commands that cobra adds refuse arguments that they do not know.
func strictDefaults(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			for _, shell := range c.Commands() {
				shell.Args = names(0, 0)
			}
			c.Args = noSubcommand
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		case "help":
			c.Args = func(c *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return usage(c, "no help on %q", args)
				}
				return nil
			}
		}
	}
}

// noSubcommand checks the arguments of a command that has only subcommands: cobra calls it
// where the first argument is none of them.
func noSubcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	c.SuggestionsMinimumDistance = 2
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		hint = " (did you mean " + strings.Join(s, " or ") + "?)"
	}
	return usage(c, "unknown command %q%s", args[0], hint)
}
