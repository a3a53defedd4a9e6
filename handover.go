package samepage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// inheritEnv is the environment variable that tells a child what it inherits:
// label=token pairs, separated by blanks, with the labels escaped as in URLs.
const inheritEnv = "SAMEPAGE_INHERIT"

// Inherit has the child that cmd will start inherit m, and nothing else of this
// process. The child gets at it by Inherited(label), or by Attach of the
// returned token where that reaches it by other ways, such as an argument. Call
// it before cmd.Start; m must stay open until Start has returned (cmd keeps it from being
// collected). Several
// memories, under different labels, may go to one child; a second one of the same
// label takes the place of the first.
//
// With ReadOnly access the child cannot write unnamed memory, whatever it
// tries, unless it is Sparse and on Windows. (On Linux that also keeps everybody else
// from mapping it for writing from now on, but for views that this process takes of
// it.) Of a named object
// or a file it is a mode only: its rights say who may open it anew.
//
// Errors: ErrClosed, fs.ErrPermission, fs.ErrInvalid (an empty label, or
// CopyOnWrite), ErrTooLarge (unnamed memory larger than the address space,
// read-only), errors.ErrUnsupported (an exact name, which the other one opens; on
// Windows memory that came by FromHandle or TakeHandle).
func Inherit(cmd *exec.Cmd, label string, m *Memory, access Access) (token string, err error) {
	token, err = inherit(cmd, label, m, access)
	if err != nil {
		return "", fmt.Errorf("samepage: inherit %v as %q, %v: %w", m, label, access, err)
	}
	return token, nil
}

func inherit(cmd *exec.Cmd, label string, m *Memory, access Access) (string, error) {
	if label == "" {
		return "", option.Bad("label", `""`, "one that is not empty")
	}
	token, err := m.handOutToken(access, func() (string, error) { return m.obj.Inherit(cmd, layout.Access(access)) })
	if err != nil {
		return "", err
	}
	forgotten.KeepWith(cmd, m)
	pairs := url.QueryEscape(label) + "=" + token
	if cmd.Env == nil {
		// What this process itself inherited is not the child's.
		for _, kv := range cmd.Environ() {
			if !strings.HasPrefix(kv, inheritEnv+"=") {
				cmd.Env = append(cmd.Env, kv)
			}
		}
	}
	for i, kv := range cmd.Env {
		if rest, ok := strings.CutPrefix(kv, inheritEnv+"="); ok {
			// An older pair of the label is another child's, or of this process
			// itself.
			others := slices.DeleteFunc(strings.Fields(rest), func(p string) bool {
				return strings.HasPrefix(p, url.QueryEscape(label)+"=")
			})
			cmd.Env[i] = inheritEnv + "=" + strings.Join(append(others, pairs), " ")
			return token, nil
		}
	}
	cmd.Env = append(cmd.Env, inheritEnv+"="+pairs)
	return token, nil
}

// inheriting is held while the environment variable is read and changed.
var inheriting sync.Mutex

// Inherited opens the memory that the parent gave to this process under label
// by Inherit. It is there for the taking once: what was taken is struck from
// the environment.
//
// Errors: fs.ErrNotExist (nothing of that label), ErrBadToken, and those of Attach.
func Inherited(label string) (*Memory, error) {
	inheriting.Lock()
	defer inheriting.Unlock()
	pairs := strings.Fields(os.Getenv(inheritEnv))
	for i, pair := range pairs {
		escaped, token, _ := strings.Cut(pair, "=")
		if l, err := url.QueryUnescape(escaped); err != nil || l != label {
			continue
		}
		m, err := attach(token)
		if err != nil {
			return nil, fmt.Errorf("samepage: inherited %q: %w", label, err)
		}
		rest := append(append([]string{}, pairs[:i]...), pairs[i+1:]...)
		if len(rest) == 0 {
			_ = os.Unsetenv(inheritEnv)
		} else {
			_ = os.Setenv(inheritEnv, strings.Join(rest, " "))
		}
		return m, nil
	}
	return nil, fmt.Errorf("samepage: inherited %q: environment variable %s has no such label: %w", label, inheritEnv, fs.ErrNotExist)
}

// Grant lets the running process pid attach to m, by the token that it returns
// and that the caller conveys to it by any means: a pipe, an argument, a
// message. The token is an address and not a capability: nobody but that very
// process can use it, and only while m is open here, which means that somebody must keep
// m. See Inherit on read-only
// access. Nothing happens in the other process before it calls Attach.
//
// Errors: ErrPeerNotStarted, fs.ErrPermission, ErrClosed, fs.ErrInvalid
// (CopyOnWrite), ErrTooLarge, errors.ErrUnsupported (see Inherit).
func Grant(pid int, m *Memory, access Access) (token string, err error) {
	token, err = grant(pid, m, access)
	if err != nil {
		return "", fmt.Errorf("samepage: grant %v to process %d, %v: %w", m, pid, access, err)
	}
	return token, nil
}

func grant(pid int, m *Memory, access Access) (string, error) {
	return m.handOutToken(access, func() (string, error) { return m.obj.Grant(pid, layout.Access(access)) })
}

// Attach opens the memory that a token of Grant or Inherit names. It checks
// that it is the process meant, and that what it finds is the object meant.
//
// Errors: ErrBadToken, ErrPeerNotStarted (the granting process has ended),
// fs.ErrPermission; and, where the memory has a name, of which the receiver becomes a
// user, ErrBusy, ErrCorrupt, ErrVersion, ErrPrivilege, ErrStore.
func Attach(token string) (*Memory, error) {
	m, err := attach(token)
	if err != nil {
		return nil, fmt.Errorf("samepage: attach: %w", err)
	}
	return m, nil
}

func attach(token string) (*Memory, error) {
	o, t, err := object.Receive(token)
	if err != nil {
		return nil, err
	}
	return newMemory(t.Name, t.Access, o), nil
}

// handOutToken is handOut for what the receiver opens by a token.
func (m *Memory) handOutToken(access Access, f func() (string, error)) (string, error) {
	if m.obj.Sys.Exact {
		return "", fmt.Errorf("an exact object is opened by its name: %w", errors.ErrUnsupported)
	}
	return handOut(m, access, f)
}

// handOut runs f, which prepares the hand-over, while m cannot be closed. f returns what the
// receiver needs.
func handOut[T any](m *Memory, access Access, f func() (T, error)) (none T, err error) {
	if err := option.OneOf("access", access, ReadWrite, ReadOnly); err != nil {
		return none, err
	}
	if access == ReadWrite && m.access == ReadOnly {
		return none, fmt.Errorf("the memory is open %v: %w", m.access, fs.ErrPermission)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return none, ErrClosed
	}
	return f()
}
