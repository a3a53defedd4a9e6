package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
)

// asUser makes this program the command samepage of another user: the user's id and the
// arguments of the command follow. Only root can do that.
const asUser = "test-as-user"

func init() {
	if len(os.Args) < 3 || os.Args[1] != asUser {
		return
	}
	var uid int
	_, err := fmt.Sscan(os.Args[2], &uid)
	for _, f := range []func() error{
		func() error { return err },
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(uid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, asUser, err)
			os.Exit(99)
		}
	}
	os.Exit(run(os.Args[3:], os.Stdin, os.Stdout, os.Stderr))
}

// Two users share objects of each kind in the shell if the creator lets them; otherwise they are
// told what is missing. Permission bits and root are specific to Linux.
func TestTwoUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be two other users")
	}
	ipctest.Store(t)
	const root, anna, bert = 0, 64001, 64002
	owner := fmt.Sprint(anna)
	for _, c := range []struct {
		user  int
		args  string
		stdin string
		code  int
		says  string // on standard output or standard error
	}{
		// Root makes the global directory.
		{root, "create first --size 1", "", 0, "created"},
		{bert, "rm first", "", 5, "permission denied"},
		{bert, "rm first --owner *", "", 5, "mode 01600"},
		{root, "rm first", "", 0, "removed first"},

		{anna, "create m --size 5 --perm 0666", "", 0, "created"},
		{bert, "cat m", "", 5, "want uid 64002 or root; Owner (--owner) names another user"},
		{bert, "put m --owner " + owner, "hello", 0, "wrote 5 bytes"},
		{bert, "cat m --owner " + owner, "", 0, "hello"},
		{bert, "cat m --owner *", "", 0, "hello"},
		{bert, "cat m --owner 1", "", 5, "want "},
		{bert, "stat m --owner " + owner, "", 0, "-rw-rw-rw-"},
		{bert, "rm m --owner " + owner, "", 5, "not permitted"},
		{root, "rm m", "", 0, "removed m"},
		{anna, "put m --create --perm 0644", "hello", 0, "created"},
		{bert, "cat m --owner " + owner, "", 0, "hello"},
		{bert, "put m --owner " + owner, "Hello", 5, "read-write, mode"},
		{anna, "rm m", "", 0, "removed m"},
		{bert, "cat m --owner " + owner, "", 3, `there is no memory "m" in scope global`},

		{anna, "cell put c one --create --perm 0666", "", 0, "created"},
		{bert, "cell get c", "", 5, "(--owner)"},
		{bert, "cell get c --owner " + owner, "", 0, "one"},
		{bert, "cell watch c -n 1 --owner " + owner, "", 0, "one"},
		{bert, "cell put c two --owner " + owner, "", 0, "value 2"},
		{anna, "cell get c", "", 0, "two"},
		{root, "rm c", "", 0, "removed c"},
		{anna, "cell put c one --create --perm 0644", "", 0, "created"},
		{bert, "cell get c --owner " + owner, "", 5, "to everybody with 0666"},
		{bert, "stat c --owner *", "", 0, "value 1"},

		{anna, "event set e --perm 0666", "", 0, "created"},
		{bert, "event wait e --timeout 0", "", 5, "(--owner)"},
		{bert, "event wait e --timeout 0 --owner " + owner, "", 0, "passed"},
		{bert, "event set e --owner " + owner, "", 0, "set"},
		{bert, "event reset e --owner " + owner, "", 0, "reset"},
		{anna, "event set f", "", 0, "created"},
		{bert, "event wait f --timeout 0 --owner " + owner, "", 5, "(--perm)"},

		{anna, "pub t --persist --perm 0666", "a line\n", 0, "published to t: 1 message"},
		{bert, "sub t", "", 5, "(--owner)"},
		{bert, "sub t --owner " + owner, "", 0, "a line"},
		{bert, "pub t --owner " + owner + " --wait 0", "bert's\n", 0, "published to t: 1 message"},
		{anna, "sub t --from newest", "", 0, "bert's"},
		{bert, "hz t --duration 1ms --owner " + owner, "", 0, "total 0 messages"},
		{root, "sub t --owner " + owner, "", 0, "a line"},
		{anna, "pub u --persist --perm 0644", "a line\n", 0, "published to u: 1 message"},
		{bert, "sub u --owner " + owner, "", 5, "its maker can allow that to a group with Perm 0660 (--perm)"},
		{bert, "hz u --duration 1ms --owner " + owner, "", 0, "total 0 messages"},
		{bert, "pub u --owner " + owner + " --wait 0", "bert's\n", 5, "member table"},
		{root, "rm t u c e f", "", 0, "removed f"},
		{root, "ls --json", "", 0, "[]"},
	} {
		args := append([]string{asUser, fmt.Sprint(c.user)}, strings.Fields(c.args)...)
		if c.args != "ls --json" {
			args = append(args, "--scope", "global")
		}
		cmd := exec.Command("samepage", args...)
		cmd.Stdin = strings.NewReader(c.stdin)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("user %d, samepage %s: exit code %d, want %d, and %q in %q", c.user, c.args, got, c.code, c.says, out.String())
		}
	}
}
