package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samepage"
	"samepage/cmd/samepage/internal/demo"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitMissing = 3
	exitTimeout = 7
)

// exit is one exit code.
type exit struct {
	code    int
	meaning string  // for the help
	errs    []error // the errors that end with this code
}

// exits lists the exit codes other than 0 and 1, with the errors that they stand for. The
// first match counts.
var exits = []exit{
	{exitUsage, "wrong usage", []error{errUsage, samepage.ErrName, errNotText}},
	// This one stands before code 3, since these errors also match fs.ErrNotExist.
	{10, "the process at the other end is not running", []error{samepage.ErrPeerNotStarted}},
	{exitMissing, "no such object", []error{fs.ErrNotExist}},
	// This one stands before code 4: a topic whose messages are too small also has other options.
	{11, "it does not fit: an input too long for the object, or a range past its end", []error{samepage.ErrRange, samepage.ErrTooLarge, errTooLong}},
	// This one stands before code 4: the error of a wait also says what it waited for.
	{exitTimeout, "timed out", []error{os.ErrDeadlineExceeded, context.DeadlineExceeded}},
	{4, "the object already exists, perhaps with other options, is in use by others, or is full: no more can join", []error{fs.ErrExist, samepage.ErrDiffers, samepage.ErrRetired, samepage.ErrBusy, samepage.ErrTooManyMembers}},
	{5, "permission denied, or a privilege is missing", []error{fs.ErrPermission, samepage.ErrPrivilege}},
	{6, "no space", []error{samepage.ErrNoSpace, syscall.ENOSPC}},
	{8, "the process at the other end died", []error{samepage.ErrPeerDied}},
	{9, "evicted because it was too slow", []error{samepage.ErrEvicted}},
	{12, "there is no file or folder at that path", []error{errNoFile}},
	{13, "the name was removed while it was in use", []error{samepage.ErrNameGone}},
	{130, "interrupted", []error{context.Canceled}},
}

func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n  0    success\n  1    another failure, such as a damaged object\n")
	byCode := slices.SortedFunc(slices.Values(exits), func(a, b exit) int { return a.code - b.code })
	for _, e := range byCode {
		fmt.Fprintf(&b, "  %-4d %s\n", e.code, e.meaning)
	}
	b.WriteString("  other samepage lock and samepage semaphore run: the exit code of their command")
	return b.String()
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	// A process of the demo has already chosen the code for its error.
	var r *demo.RemoteError
	if errors.As(err, &r) {
		return r.Code
	}
	var command *exitError
	if errors.As(err, &command) {
		return command.code
	}
	for _, e := range exits {
		for _, target := range e.errs {
			if errors.Is(err, target) {
				return e.code
			}
		}
	}
	return exitFailed
}

// errUsage matches errors in how the command was called.
var errUsage = errors.New("wrong usage")

type usageError struct {
	command string
	err     error
}

// usage returns an error in how the command was called. Its text points to the help.
func usage(c *cobra.Command, format string, args ...any) error {
	return &usageError{c.CommandPath(), fmt.Errorf(format, args...)}
}

// badFlag returns the error of a flag whose value cannot be parsed. Its text says what is wanted,
// without words of Go.
func badFlag(c *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return usage(c, "%w", err)
	}
	f, why := bad.GetFlag(), bad.Unwrap().Error()
	// Our own types, such as timeoutFlag, have good words, and can have a name of pflag's.
	if want, ok := wanted[f.Value.Type()]; ok && strings.HasPrefix(fmt.Sprintf("%T", f.Value), "*pflag.") {
		why = "want " + want
	}
	return usage(c, "--%s is %q, %s", f.Name, bad.GetValue(), why)
}

// wanted says what the flags of the types of pflag want.
var wanted = map[string]string{
	"bool": "true or false", "duration": "a time, such as 500ms or 2m",
	"int": "a whole number", "int64": "a whole number", "uint16": "a whole number, 0 to 65535",
	"uint": "a whole number, 0 or more", "uint32": "a whole number, 0 to 4294967295", "uint64": "a whole number, 0 or more",
	"float64": "a number",
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v; see %s --help", e.err, e.command)
}

func (e *usageError) Is(target error) bool { return target == errUsage }

// errNoFile matches the errors about a path where there is no file or folder. They do not
// match fs.ErrNotExist, which is for objects.
var errNoFile = errors.New("no such file or folder")

type noFileError struct{ err error }

// noFile returns the error err of a call on a path that the user gave. It matches errNoFile
// if err matches fs.ErrNotExist.
func noFile(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &noFileError{err}
	}
	return err
}

// noProgram is noFile for a program that could not be started.
func noProgram(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &noFileError{err}
	}
	return noFile(err)
}

func (e *noFileError) Error() string        { return e.err.Error() }
func (e *noFileError) Is(target error) bool { return target == errNoFile }

// message is the line that tells err. The packages put their names in front of their errors;
// message replaces these names by the name of the command, and Go's words for a time-out by those
// of the exit code.
func message(err error) string {
	text := err.Error()
	if errors.Is(err, context.Canceled) {
		text = "interrupted"
	}
	for _, prefix := range []string{"samepage: ", "ipcsync: ", "pubsub: ", "cell: ", "rpc: ", "stream: ", "frame: ", "baseimage: ", "earseimage: ", "sharememory: ", "text: "} {
		text = strings.TrimPrefix(text, prefix)
		text = strings.ReplaceAll(text, ": "+prefix, ": ")
	}
	for _, timeout := range []error{context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		text = strings.ReplaceAll(text, timeout.Error(), "timed out")
	}
	// Several errors become one line, too.
	return "samepage: " + visible(strings.ReplaceAll(text, "\n", "; "))
}

// names checks that a command has between least and most arguments.
func names(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch n := len(args); {
		case n < least:
			return usage(c, "a NAME is missing")
		case n > most && most == 0:
			return usage(c, "no arguments are expected, got %q", args)
		case n > most:
			return usage(c, "one NAME is expected, got %q", args)
		}
		return nil
	}
}
