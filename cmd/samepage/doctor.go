package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage/internal/sys"
)

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look whether this machine is fit for shared memory",
		Long: `doctor looks at what this machine has for shared memory, and tells the command
that mends what is wrong. The exit code is 1 when something is.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runDoctor(a.printer(), sys.Facts()) },
	}
}

type facts []sys.Fact

func (fs facts) MarshalJSON() ([]byte, error) { return marshalList([]sys.Fact(fs)) }

func (fs facts) text(w io.Writer) error {
	for _, f := range fs {
		mark := "ok  "
		if !f.OK {
			mark = "BAD "
		}
		text := fmt.Sprintf("%s %s: %s\n", mark, f.Name, f.Value)
		if f.Note != "" {
			text += "     " + f.Note + "\n"
		}
		if f.Mend != "" {
			text += "     mend: " + f.Mend + "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func runDoctor(p printer, found facts) error {
	if err := p.print(found); err != nil {
		return err
	}
	bad := 0
	for _, f := range found {
		if !f.OK {
			bad++
		}
	}
	if bad > 0 {
		return errors.New("doctor: " + count(bad, "finding") + " not OK")
	}
	return nil
}
