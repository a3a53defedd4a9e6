package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/sys/process"
	"samepage/internal/words"
	"samepage/ipcsync"
)

type lockOptions struct {
	object
	waiting
	read, write bool
}

func newLockCommand(a *app) *cobra.Command {
	var o lockOptions
	c := &cobra.Command{
		Use:   "lock NAME -- COMMAND ARG...",
		Short: "Run a command while holding a lock",
		Long: `lock locks the mutex NAME, runs COMMAND, and unlocks the mutex. COMMAND has the standard
input and output of lock, and its exit code is the exit code of lock: 128 and the number of
the signal if a signal has ended it. If the mutex does not exist, lock creates it. It stays
until samepage rm --kind mutex removes it. With --read or --write lock takes a reader-writer
mutex instead: many may hold it with --read at the same time, or one with --write.

If the time runs out before the lock is free, COMMAND is not run, and the exit code is 7.

If the previous owner died while holding the lock, what the lock guards may be half
changed. lock then says so on standard error, and COMMAND has the environment variable
SAMEPAGE_OWNER_DIED with the process that died. When COMMAND ends with exit code 0, lock
declares that all is consistent again. Otherwise the next owner is told, too.

A signal that asks lock to end is passed on to COMMAND. lock holds the lock until COMMAND has
ended. If lock is killed, COMMAND is killed, too.`,
		Example: `  samepage lock backup -- tar czf home.tgz /home
  samepage lock state --timeout 0 -- ./update || echo busy`,
		Args:              nameAndCommand,
		ValidArgsFunction: completeNames(false, samepage.KindMutex, samepage.KindRWMutex),
		RunE: func(c *cobra.Command, args []string) error {
			if o.read && o.write {
				return usage(c, "--read and --write exclude each other")
			}
			return runLock(c.Context(), a, o, args[0], args[1:])
		},
	}
	o.addFlags(c)
	o.addRights(c.Flags())
	o.addTimeout(c, noLimit)
	c.Flags().BoolVar(&o.read, "read", false, "lock the reader-writer mutex of that name for reading")
	c.Flags().BoolVar(&o.write, "write", false, "lock the reader-writer mutex of that name for writing")
	return c
}

// namedLock is a lock that is open, with the calls that lock and unlock it.
type namedLock struct {
	lock               func(context.Context) error
	unlock, consistent func() error
	close              func() error
}

func (l namedLock) Close() error { return l.close() }

func (o *lockOptions) kind() samepage.Kind {
	if o.read || o.write {
		return samepage.KindRWMutex
	}
	return samepage.KindMutex
}

// persistentLock returns the options that open a lock or a semaphore, or create one that stays.
func (o *object) persistentLock() *ipcsync.Options {
	return &ipcsync.Options{Scope: o.scope, Owner: o.owner, Perm: o.perm, SecurityDescriptor: o.sddl, Lifetime: samepage.Persist}
}

func (o *lockOptions) open(a *app, name string) (l namedLock, err error) {
	opts := o.persistentLock()
	var existed bool
	if o.kind() == samepage.KindMutex {
		var m *ipcsync.Mutex
		if m, existed, err = ipcsync.OpenOrCreateMutex(name, opts); err == nil {
			l = namedLock{m.Lock, m.Unlock, m.Consistent, m.Close}
		}
	} else {
		var m *ipcsync.RWMutex
		if m, existed, err = ipcsync.OpenOrCreateRWMutex(name, opts); err == nil && o.read {
			l = namedLock{m.RLock, m.RUnlock, func() error { return nil }, m.Close}
		} else if err == nil {
			l = namedLock{m.Lock, m.Unlock, m.Consistent, m.Close}
		}
	}
	switch {
	case err != nil:
		return l, err
	case existed:
		o.tellUnused(a.notes(), name)
	default:
		a.tellCreated(o.kind(), name)
	}
	return l, nil
}

// tellCreated tells that a command has created an object that stays.
func (a *app) tellCreated(kind samepage.Kind, name string) {
	fmt.Fprintf(a.notes(), "samepage: there was no %v %s: created it; it stays until samepage rm --kind %[1]v %[2]s\n", kind, plain(name))
}

// heldBy returns err. If err is a time-out, heldBy adds who holds the lock.
func (o *lockOptions) heldBy(name string, err error) error {
	if exitCode(err) != exitTimeout {
		return err
	}
	i, serr := samepage.Stat(name, o.options(o.kind()))
	if serr != nil {
		return err
	}
	st, serr := look(i)
	if serr != nil {
		return err
	}
	return fmt.Errorf("%s is %s: %w", plain(name), st.text, err)
}

func runLock(ctx context.Context, a *app, o lockOptions, name string, command []string) (err error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return noProgram(err)
	}
	l, err := o.open(a, name)
	if err != nil {
		return err
	}
	defer closing(l, &err)
	limit, cancel := o.within(ctx)
	err = l.lock(limit)
	cancel()
	var died *ipcsync.OwnerDiedError
	if err != nil && !errors.As(err, &died) {
		return o.heldBy(name, err)
	}
	var env []string
	if died != nil {
		by := words.Named(died.PID, died.Name, died.Foreign, false)
		fmt.Fprintf(a.notes(), "samepage: the previous owner of %s died while holding it: %s\n", plain(name), by)
		env = append(env, "SAMEPAGE_OWNER_DIED="+by)
	}
	err = a.runCommand(ctx, command, env)
	if err == nil && died != nil {
		err = l.consistent()
	}
	return errors.Join(err, l.unlock())
}

// exitError is the end of a command that samepage ran, with another exit code than 0. The command
// has said why itself.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// runCommand runs a command with the standard files of this one, to its end. If ctx ends, it asks
// the command to end, and waits for that. The command ends together with this process.
//
// Errors: *exitError, and those of exec.Cmd.Start.
func (a *app) runCommand(ctx context.Context, command, env []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = a.stdin, a.stdout, a.stderr
	c.Env = append(os.Environ(), env...)
	c.Cancel = func() error {
		_ = c.Process.Signal(syscall.SIGTERM) // Windows has no such signal, and tells Ctrl-C to all
		return nil
	}
	samepage.StartLikeSelf(c)
	g, err := process.StartGroup(c, process.GroupOptions{WithParent: true})
	if err != nil {
		return fmt.Errorf("start %s: %w", command[0], noProgram(err))
	}
	err = c.Wait()
	_ = g.Close()
	var failed *exec.ExitError
	switch {
	case c.ProcessState.Success():
		return nil // also if ctx has ended meanwhile
	case !errors.As(err, &failed):
		return fmt.Errorf("%s: %w", command[0], err)
	}
	a.told = true
	if w, ok := failed.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return &exitError{128 + int(w.Signal())}
	}
	return &exitError{failed.ExitCode()}
}
