package sys

import (
	"context"
	"errors"
	"os/exec"
	"samepage/layout"
	"time"
)

type impl struct{}

func BaseDir() string                                              { return "" }
func Where(s layout.Scope) string                                  { return "" }
func Create(*Spec) (*Object, error)                                { return nil, errors.ErrUnsupported }
func Open(*Spec) (*Object, error)                                  { return nil, errors.ErrUnsupported }
func Remove(*Spec) error                                           { return errors.ErrUnsupported }
func Stat(*Spec) (Info, error)                                     { return Info{}, errors.ErrUnsupported }
func List(layout.Scope) ([]Info, error)                            { return nil, nil }
func Clean(layout.Scope, bool) ([]Leftover, error)                 { return nil, nil }
func CreateUnnamed(*Spec) (*Object, error)                         { return nil, errors.ErrUnsupported }
func MapFile(*Spec) (*Object, error)                               { return nil, errors.ErrUnsupported }
func Receive(*layout.Token) (*Object, error)                       { return nil, errors.ErrUnsupported }
func (o *Object) Inherit(*exec.Cmd, layout.Access) (uint64, error) { return 0, errors.ErrUnsupported }
func (o *Object) Grant(layout.Access) (uint64, error)              { return 0, errors.ErrUnsupported }
func Self() Process                                                { return Process{} }
func FindProcess(int) (Process, error)                             { return Process{}, errors.ErrUnsupported }
func Facts() []Fact                                                { return nil }
func Granularity() int                                             { return 65536 }
func (o *Object) Map(off int64, n int, a layout.Access) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
func (o *Object) Unmap(b []byte) error  { return nil }
func (o *Object) Poison(b []byte) error { return nil }
func (o *Object) Flush([]byte) error    { return nil }
func (o *Object) Close() error          { return nil }

type Bell struct{}

func OpenBell(layout.ID, layout.Scope) (*Bell, error)        { return &Bell{}, nil }
func (*Bell) CloseBell() error                               { return nil }
func (*Bell) Wait(word *uint32, old uint32, d time.Duration) {}
func (*Bell) Ring(*uint32, int)                              {}

const HaveKernelEvents = true

type KernelEvent struct{}

func CreateKernelEvent(*Spec, bool, bool) (*KernelEvent, error) { return nil, errors.ErrUnsupported }
func OpenKernelEvent(*Spec) (*KernelEvent, error)               { return nil, errors.ErrUnsupported }
func (*KernelEvent) Set() error                                 { return errors.ErrUnsupported }
func (*KernelEvent) Reset() error                               { return errors.ErrUnsupported }
func (*KernelEvent) TryWait() (bool, error)                     { return false, errors.ErrUnsupported }
func (*KernelEvent) Wait(context.Context) error                 { return errors.ErrUnsupported }
func (*KernelEvent) Close() error                               { return nil }
