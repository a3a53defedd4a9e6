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

// inheritEnv is the environment variable that tells a child what it inherits: pairs label=token,
// separated by blanks. The labels are escaped as in URLs.
const inheritEnv = "SAMEPAGE_INHERIT"

// Inherit lets the child that cmd will start inherit m, and nothing else of this process. The
// child opens m with Inherited(label). If the token reaches the child in another way, such as an
// argument, it can also use Attach(token). Call Inherit before cmd.Start. m must stay open until
// Start has returned; cmd keeps m from being garbage collected. One child can inherit several
// memories under different labels. A second memory with the same label replaces the first.
//
// With ReadOnly access the child cannot write unnamed memory, whatever it tries. (Sparse memory on
// Windows is an exception.) On Linux this affects all users of the unnamed memory: from now on
// nobody can map it for writing, except this process with new views. For a named object or a file,
// ReadOnly is only the mode of this opening: if the rights of the object allow it, the child can
// open the object again for writing.
//
// Errors: ErrClosed, fs.ErrPermission, fs.ErrInvalid (an empty label, or CopyOnWrite),
// ErrTooLarge (read-only access to unnamed memory that is larger than the address space),
// errors.ErrUnsupported (an exact name, which the other process opens by the name; on Windows
// memory that came from FromHandle or TakeHandle).
func Inherit(cmd *exec.Cmd, label string, m *Memory, access Access) (token string, err error) {
	defer wrap(&err, "inherit %v as %q, %v", m, label, access)
	if label == "" {
		return "", option.Bad("label", `""`, "a label that is not empty")
	}
	token, err = m.handOutToken(access, func() (string, error) { return m.obj.Inherit(cmd, layout.Access(access)) })
	if err != nil {
		return "", err
	}
	forgotten.KeepWith(cmd, m)
	pairs := url.QueryEscape(label) + "=" + token
	if cmd.Env == nil {
		// This process's own inheritance does not belong to the child.
		for _, kv := range cmd.Environ() {
			if !strings.HasPrefix(kv, inheritEnv+"=") {
				cmd.Env = append(cmd.Env, kv)
			}
		}
	}
	for i, kv := range cmd.Env {
		if rest, ok := strings.CutPrefix(kv, inheritEnv+"="); ok {
			// An older pair with this label belongs to another child or to this process.
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

// inheriting is locked while the environment variable is read and changed.
var inheriting sync.Mutex

// Inherited opens the memory that the parent gave to this process under label, with Inherit. Each
// label can be taken once: Inherited removes it from the environment.
//
// Errors: fs.ErrNotExist (the environment has no such label), ErrBadToken, and those of Attach.
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
			return nil, fmt.Errorf("samepage: open inherited %q: %w", label, err)
		}
		rest := append(append([]string{}, pairs[:i]...), pairs[i+1:]...)
		if len(rest) == 0 {
			_ = os.Unsetenv(inheritEnv)
		} else {
			_ = os.Setenv(inheritEnv, strings.Join(rest, " "))
		}
		return m, nil
	}
	return nil, fmt.Errorf("samepage: open inherited %q: environment variable %s has no such label: %w", label, inheritEnv, fs.ErrNotExist)
}

// Grant lets the running process pid attach to m, with the token that Grant returns. The caller
// passes the token to that process in any way: a pipe, an argument, a message. The token is an
// address, not a capability: only that process can use it, and only while m is open here. So the
// caller must keep m open. Inherit says what read-only access means. Nothing happens in the other
// process before it calls Attach.
//
// Errors: ErrPeerNotStarted, fs.ErrPermission, ErrClosed, fs.ErrInvalid (CopyOnWrite),
// ErrTooLarge, errors.ErrUnsupported (see Inherit).
func Grant(pid int, m *Memory, access Access) (token string, err error) {
	defer wrap(&err, "grant %v to process %d, %v", m, pid, access)
	return m.handOutToken(access, func() (string, error) { return m.obj.Grant(pid, layout.Access(access)) })
}

// Attach opens the memory that a token of Grant or Inherit names. It checks that the token is for
// this process, and that the object it finds is the object of the token. If the memory has a
// name, the receiver becomes a user of it.
//
// Errors: ErrBadToken, ErrPeerNotStarted (the granting process has ended), fs.ErrPermission. If
// the memory has a name also ErrBusy, ErrCorrupt, ErrVersion, ErrPrivilege, ErrStore.
func Attach(token string) (m *Memory, err error) {
	defer wrap(&err, "attach")
	return attach(token)
}

func attach(token string) (*Memory, error) {
	t, err := layout.ParseToken(token)
	if err != nil {
		return nil, err
	}
	o, err := object.Receive(t)
	return opened(t.Name, t.Access, o, err)
}

// handOutToken is handOut for an object that the receiver opens with a token.
func (m *Memory) handOutToken(access Access, f func() (string, error)) (string, error) {
	if m.obj.Sys.Exact {
		return "", fmt.Errorf("the object has an exact name, so the other process opens it by that name: %w", errors.ErrUnsupported)
	}
	return handOut(m, access, f)
}

// handOut runs f, which prepares the hand-over. m cannot be closed meanwhile. f returns what the
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
