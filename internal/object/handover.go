package object

import (
	"os/exec"

	"samepage/internal/sys"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// Inherit lets the child that cmd will start inherit the object, and returns the token with which
// the child receives it. Errors: those of sys.Object.Inherit.
func (o *Object) Inherit(cmd *exec.Cmd, a layout.Access) (token string, err error) {
	number, err := o.Sys.Inherit(cmd, a)
	if err != nil {
		return "", err
	}
	t, err := o.token(a, number)
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// Grant lets the running process pid receive the object with the token. Errors: those of
// process.Find and sys.Object.Grant.
func (o *Object) Grant(pid int, a layout.Access) (token string, err error) {
	to, err := process.Find(pid)
	if err != nil {
		return "", err
	}
	number, err := o.Sys.Grant(a)
	if err != nil {
		return "", err
	}
	t, err := o.token(a, number)
	if err != nil {
		return "", err
	}
	t.Granted, t.To = true, to
	return t.String(), nil
}

func (o *Object) token(a layout.Access, number uint64) (*layout.Token, error) {
	from, err := process.Myself()
	if err != nil {
		return nil, err
	}
	s := o.Sys
	return &layout.Token{
		Access: a, Kind: s.Kind, Scope: s.Scope, From: from, Number: number, ID: s.ID, Size: s.Size, Name: s.Name,
	}, nil
}

// Receive opens the object that a token names. Errors: those of sys.Receive.
func Receive(t *layout.Token) (*Object, error) {
	o, err := sys.Receive(t)
	if err != nil {
		return nil, err
	}
	return Own(o), nil
}
