package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"samepage"
)

type handleOptions struct {
	size, offset, length int64
	raw                  bool
}

func newLegacyHandleCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "handle",
		Short: "Read unnamed memory that a running program has a handle of",
		Args:  noSubcommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var o handleOptions
	read := &cobra.Command{
		Use:   "read PID VALUE",
		Short: "Write the bytes of a program's unnamed memory to standard output",
		Long: `read copies the handle VALUE from the process PID, and writes the bytes of its section to
standard output. The process keeps its own handle and does not notice. VALUE is decimal,
or hexadecimal after 0x; on Linux it is the number of a descriptor. Without --size the
kernel says how many bytes there are; on Windows that is rounded up to a page. With --json
the bytes are in base64, in the member "data".

The exit code is 1 if the handle is not memory, 10 if the process is not running, and 5 if
it belongs to another user.`,
		Example: "  samepage legacy handle read 4242 0x1c4 --length 64 | xxd",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(c, "a PID and a VALUE are expected, got %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			pid, err := strconv.ParseUint(args[0], 10, 31)
			if err != nil {
				return usage(c, "PID %q is not a number", args[0])
			}
			value, err := strconv.ParseUint(args[1], 0, 64)
			if err != nil {
				return usage(c, "VALUE %q is not a number, such as 452 or 0x1c4", args[1])
			}
			return runLegacyHandleRead(c.Context(), a, o, int(pid), value)
		},
	}
	read.Flags().Var(sizeFlag{&o.size, 0}, "size", "size of the memory; 0: what the kernel says")
	read.Flags().Var(sizeFlag{&o.offset, 0}, "offset", "start here")
	read.Flags().Var(sizeFlag{&o.length, 0}, "length", "write this many bytes; 0: to the end")
	addRaw(read, &o.raw)
	c.AddCommand(read)
	return c
}

func runLegacyHandleRead(ctx context.Context, a *app, o handleOptions, pid int, value uint64) (err error) {
	m, err := samepage.TakeHandle(pid, value, o.size, samepage.ReadOnly)
	if err != nil {
		return err
	}
	defer closing(m, &err)
	return catPart(ctx, a, m, fmt.Sprintf("handle %#x of process %d", value, pid), "read", o.offset, o.length, o.raw)
}
