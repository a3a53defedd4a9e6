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
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"samepage/legacy/text"
)

func newLegacyTextCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "text",
		Short: "Share a text in a section, as server or client",
		Long: `A text is the bytes before the first NUL at the start of a section. The section is called
` + text.DefaultName + ` by default. Programs on Windows mostly write the code page of the machine; the bytes
are passed on as they are. There is no lock: somebody who reads while another program
writes can see a mixture of two texts.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLegacyTextGetCommand(a), newLegacyTextSetCommand(a), newLegacyTextServeCommand(a))
	return c
}

func newLegacyTextGetCommand(a *app) *cobra.Command {
	raw := false
	c := &cobra.Command{
		Use:   "get [NAME]",
		Short: "Write the text of a running server to standard output",
		Long: `get writes the text to standard output, as it is. If no server runs, the exit code is 3.
With --json a text that is not UTF-8 is in base64, in the member "data".`,
		Example: "  samepage legacy text get\n  samepage legacy text get ZJ --json",
		Args:    names(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return runLegacyTextGet(c.Context(), a, textName(args), raw)
		},
	}
	addRaw(c, &raw)
	return c
}

func newLegacyTextSetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME TEXT... | -",
		Short: "Replace the text of a running server",
		Long: `set replaces the text by the words of TEXT, with a space between two words. For - it reads
standard input up to its end instead. After the text it writes zeros up to the end of the section.`,
		Example: "  samepage legacy text set ZJ second data!\n  samepage legacy text set ZJ - <text.txt",
		Args: func(c *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return usage(c, "a NAME and a TEXT are missing")
			case 1:
				return usage(c, "a TEXT is missing, or - for standard input")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runLegacyTextSet(c.Context(), a, args[0], args[1:])
		},
	}
}

type textServeOptions struct {
	file  string
	size  int64
	every time.Duration
}

func newLegacyTextServeCommand(a *app) *cobra.Command {
	var o textServeOptions
	c := &cobra.Command{
		Use:   "serve [NAME]",
		Short: "Make the section, and print its text again and again until Ctrl-C",
		Long: `serve makes the section and prints its text again and again, as the existing server does,
and adds a line end if the text has none. --every says how often. If standard input is not
a terminal, its content up to its end is the first text. The section lives only while it
is used. After Ctrl-C the exit code is 0.

With --file the section lies over that file. The file loses its content and has the text
afterwards, and nobody else can open it meanwhile. If a server runs already, the exit code
is 4, and neither the server nor the file is changed.

The existing programs map ` + fmt.Sprint(text.DefaultSize) + ` bytes: they cannot open a smaller section.`,
		Example: "  echo hello | samepage legacy text serve\n  samepage legacy text serve ZJ --file zj.dat --every 1s <text.txt",
		Args:    names(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if o.every < 0 {
				return usage(c, "--every %v is negative", o.every)
			}
			return runLegacyTextServe(c.Context(), a, o, textName(args))
		},
	}
	c.Flags().StringVar(&o.file, "file", "", "lay the section over the file at this `path`")
	c.Flags().Var(sizeFlag{&o.size, 1}, "size", "size of the section (default 1MiB)")
	c.Flags().DurationVar(&o.every, "every", 3*time.Second, "print the text this often; 0: never")
	return c
}

func textName(args []string) string {
	if len(args) == 0 {
		return text.DefaultName
	}
	return args[0]
}

// textValue is a text in JSON.
type textValue struct {
	Name string  `json:"name"`
	Size int     `json:"size"`
	Text *string `json:"text,omitempty"`
	Data *string `json:"data,omitempty"`
}

func newTextValue(name, s string) *textValue {
	v := &textValue{Name: name, Size: len(s)}
	if utf8.ValidString(s) {
		v.Text = &s
	} else {
		data := base64.StdEncoding.EncodeToString([]byte(s))
		v.Data = &data
	}
	return v
}

func (*textValue) text(io.Writer) error { return errors.ErrUnsupported } // written as it is

func runLegacyTextGet(ctx context.Context, a *app, name string, raw bool) (err error) {
	t, err := text.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &missingError{fmt.Sprintf("there is no text %q: its server does not run", name), err}
	}
	if err != nil {
		return err
	}
	defer closing(t, &err)
	s, err := t.Get()
	if err != nil {
		return err
	}
	if a.json {
		return a.printer().print(newTextValue(name, s))
	}
	return a.writeAll(ctx, []byte(s), raw)
}

// textSet describes what was done.
type textSet struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	Room int64  `json:"room"` // for the longest text
}

func (r textSet) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "text %s: %s, there is room for %d\n", plain(r.Name), count(r.Size, "byte"), r.Room)
	return err
}

// readText reads standard input as a text.
func readText(ctx context.Context, r io.Reader) (string, error) {
	var b bytes.Buffer
	// One byte more than allowed, so that Set refuses it.
	_, err := copyBytes(ctx, &b, io.LimitReader(r, text.MaxLen+1), nil)
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return b.String(), nil
}

func runLegacyTextSet(ctx context.Context, a *app, name string, words []string) (err error) {
	t, err := text.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &missingError{fmt.Sprintf("there is no text %q: its server does not run", name), err}
	}
	if err != nil {
		return err
	}
	defer closing(t, &err)
	s := strings.Join(words, " ")
	if s == "-" {
		if s, err = readText(ctx, a.stdin); err != nil {
			return err
		}
	}
	if err := t.Set(s); err != nil {
		return err
	}
	return a.printer().print(textSet{name, len(s), t.Size() - 1})
}

func runLegacyTextServe(ctx context.Context, a *app, o textServeOptions, name string) (err error) {
	t, err := text.Create(name, o.file, o.size)
	if err != nil {
		return noFile(err) // nothing else can be missing
	}
	defer closing(t, &err)
	// Not on standard output, which is for the text.
	over := ""
	if o.file != "" {
		if over, err = filepath.Abs(o.file); err != nil {
			over = o.file
		}
		over = " over " + over
	}
	fmt.Fprintf(a.notes(), "serving text %s, %s%s, until Ctrl-C\n", plain(name), formatSize(t.Size()), visible(over))

	type read struct {
		text string
		err  error
	}
	input := make(chan read, 1)
	if f, ok := a.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		go func() {
			s, err := readText(ctx, a.stdin)
			input <- read{s, err}
		}()
	}
	var tick <-chan time.Time
	if o.every > 0 {
		ticker := time.NewTicker(o.every)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-input:
			if ctx.Err() != nil {
				return nil
			}
			if in.err != nil {
				return in.err
			}
			if in.text == "" {
				continue // no text was given: a client's stays
			}
			if err := t.Set(in.text); err != nil {
				return err
			}
			if o.every == 0 {
				continue
			}
		case <-tick:
		}
		if err := printText(ctx, a, t, name); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// printText prints the text. It gives up when ctx ends, because the program that reads the
// output may have stopped.
func printText(ctx context.Context, a *app, t *text.Text, name string) error {
	s, err := t.Get()
	if err != nil {
		return err
	}
	if a.json {
		var b strings.Builder
		e := json.NewEncoder(visibleJSON{&b})
		e.SetEscapeHTML(false)
		if err := e.Encode(newTextValue(name, s)); err != nil {
			return err
		}
		s = b.String()
	} else {
		if terminalOf(a.stdout) != nil {
			s = string(shown([]byte(s), "samepage legacy text get --raw"))
		}
		if !strings.HasSuffix(s, "\n") {
			s += "\n"
		}
	}
	_, err = copyBytes(ctx, a.stdout, strings.NewReader(s), nil)
	return err
}
