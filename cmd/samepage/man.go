package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write the manual pages into a folder",
		Long:   "man writes a page for man(1) for each command, such as samepage-event-set.1.",
		Hidden: true, // for those who make packages
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "one FOLDER is expected, got %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			files, err := writeManual(c.Root(), args[0])
			if err != nil {
				return noFile(err)
			}
			return a.printer().print(files)
		},
	}
}

// writtenFiles are the files that a command has written.
type writtenFiles []string

func (f writtenFiles) text(w io.Writer) error {
	for _, file := range f {
		if _, err := fmt.Fprintln(w, plain(file)); err != nil {
			return err
		}
	}
	return nil
}

// writeManual writes the page of c, and of all commands below it, into a folder.
func writeManual(c *cobra.Command, dir string) (files writtenFiles, err error) {
	if c.Hidden || c.Name() == "help" {
		return nil, nil
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	var page bytes.Buffer
	manPage(&page, c)
	file := filepath.Join(dir, pageName(c)+".1")
	if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
		return nil, err
	}
	files = append(files, file)
	for _, sub := range c.Commands() {
		more, err := writeManual(sub, dir)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	return files, nil
}

// pageName is the name of the manual page of a command.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage writes the manual page of c, in the language of man(7). Its text is what --help shows. It
// has no date, so each build of a version writes the same page.
func manPage(w *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(w, ".TH %s 1 \"\" \"samepage %s\" \"User Commands\"\n", roff(strings.ToUpper(pageName(c))), roff(thisVersion().Version))
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, ".br\n.B %s\n", roff(c.CommandPath()+" COMMAND"))
	}
	long := c.Long
	if long == "" {
		long = c.Short + "."
	}
	section, text := "DESCRIPTION", long
	if before, codes, ok := strings.Cut(long, "Exit codes:\n"); ok {
		manText(w, section, before)
		section, text = "EXIT STATUS", codes
	}
	manText(w, section, text)
	for _, g := range append(c.Groups(), &cobra.Group{Title: "Commands:"}) {
		manCommands(w, g, c.Commands())
	}
	manFlags(w, "OPTIONS", c.LocalNonPersistentFlags())
	manFlags(w, "OPTIONS OF ALL COMMANDS", c.Root().PersistentFlags())
	if c.Example != "" {
		manText(w, "EXAMPLES", c.Example)
	}
	if c.HasParent() {
		fmt.Fprintf(w, ".SH EXIT STATUS\nSee %s(1).\n", roff("samepage"))
		fmt.Fprintf(w, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(c.Parent())))
	}
}

// manText writes a section. Lines that begin with two spaces stay as they are; the others are
// filled.
func manText(w *bytes.Buffer, title, text string) {
	fmt.Fprintf(w, ".SH %s\n", title)
	asIs, blank := false, false
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			blank = true
			continue
		}
		verbatim := strings.TrimLeft(line, "\t")
		if cut, yes := strings.CutPrefix(line, "  "); yes {
			verbatim = cut
		}
		switch now := len(verbatim) < len(line); {
		case now && !asIs:
			w.WriteString(".RS 4\n.nf\n")
			asIs = true
		case !now && asIs:
			w.WriteString(".fi\n.RE\n")
			asIs = false
		}
		if blank && !asIs {
			w.WriteString(".PP\n")
		}
		blank = false
		fmt.Fprintln(w, roff(verbatim))
	}
	if asIs {
		w.WriteString(".fi\n.RE\n")
	}
}

// manCommands writes the commands of a group.
func manCommands(w *bytes.Buffer, g *cobra.Group, all []*cobra.Command) {
	title := true
	for _, c := range all {
		if c.GroupID != g.ID || !c.IsAvailableCommand() {
			continue
		}
		if title {
			fmt.Fprintf(w, ".SH %s\n", roff(strings.ToUpper(strings.TrimSuffix(g.Title, ":"))))
			title = false
		}
		fmt.Fprintf(w, ".TP\n.BR %s (1)\n%s.\n", roff(pageName(c)), roff(c.Short))
	}
}

// manFlags writes a section of flags.
func manFlags(w *bytes.Buffer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(w, ".TP\n.BI \"%s\"", roff(name))
		if value != "" {
			fmt.Fprintf(w, " \" %s\"", roff(value))
		}
		switch f.DefValue {
		case "", "0", "false", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, "\n%s.\n", roff(usage))
	})
}

// roff returns text that man(7) shows as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\`", `^`, `\(ha`, `~`, `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
