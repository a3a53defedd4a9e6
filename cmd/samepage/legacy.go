package main

import "github.com/spf13/cobra"

func newLegacyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "legacy",
		Short: "Talk to existing C++ programs, byte for byte as they do",
		Long: `legacy replaces one of two C++ programs that share memory by Win32 calls. The other
program does not notice. This works with C++ programs on Windows. On other systems it
works only with other runs of this command, and with Go programs that use the packages
below legacy. docs/legacy.md says what each command can promise, and what it cannot.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLegacyShareMemoryCommand(a), newLegacyBaseImageCommand(a), newLegacyTextCommand(a), newLegacyHandleCommand(a), newLegacyEarseImageCommand(a))
	return c
}
