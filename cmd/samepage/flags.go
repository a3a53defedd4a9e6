package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samepage"
)

// object says which object is meant; its fields are flags.
type object struct {
	scope samepage.Scope
	exact bool
	kinds []samepage.Kind // that it may be, in this order
}

func (o *object) addFlags(f *pflag.FlagSet) {
	f.Var(scopeFlag{&o.scope}, "scope", "how far the name reaches")
	f.BoolVar(&o.exact, "exact", false, "NAME is the system's bare name, of any program")
}

func (o *object) addKind(f *pflag.FlagSet) {
	o.kinds = samepage.Kinds()
	f.Var(kindFlag{&o.kinds}, "kind", "kind of the object (default: the first of them that there is)")
}

func (o *object) options(k samepage.Kind) *samepage.Options {
	return &samepage.Options{Scope: o.scope, Exact: o.exact, Kind: k}
}

// first calls f with the options of each kind that the object may be until one
// is there.
func (o *object) first(name string, f func(*samepage.Options) error) error {
	for _, k := range o.kinds {
		err := f(o.options(k))
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, samepage.ErrKindMismatch)
		if len(o.kinds) == 1 || !missing {
			return err
		}
	}
	return fmt.Errorf("there is no %q of any kind in scope %v: %w", name, o.scope, fs.ErrNotExist)
}

// vanishes says whether an object of this command is gone as soon as the command
// ends: on Windows a bare kernel name goes with its last handle.
func (o *object) vanishes() bool { return o.exact && runtime.GOOS == "windows" }

type scopeFlag struct{ p *samepage.Scope }

func (f scopeFlag) String() string {
	if f.p == nil { // pflag asks a zero value
		return samepage.Local.String()
	}
	return f.p.String()
}

func (scopeFlag) Type() string { return "local|global" }

func (f scopeFlag) Set(s string) error {
	for _, v := range []samepage.Scope{samepage.Local, samepage.Global} {
		if s == v.String() {
			*f.p = v
			return nil
		}
	}
	return errors.New("want local or global")
}

type kindFlag struct{ p *[]samepage.Kind }

func (f kindFlag) String() string {
	if f.p == nil || len(*f.p) != 1 {
		return ""
	}
	return (*f.p)[0].String()
}

func (kindFlag) Type() string {
	var names []string
	for _, k := range samepage.Kinds() {
		names = append(names, k.String())
	}
	return strings.Join(names, "|")
}

func (f kindFlag) Set(s string) error {
	for _, v := range samepage.Kinds() {
		if s == v.String() {
			*f.p = []samepage.Kind{v}
			return nil
		}
	}
	return fmt.Errorf("want one of %s", f.Type())
}

// sizeFlag is a number of bytes, at least least.
type sizeFlag struct {
	p     *int64
	least int64
}

func (f sizeFlag) String() string {
	if f.p == nil {
		return "0"
	}
	return strconv.FormatInt(*f.p, 10)
}

func (sizeFlag) Type() string { return "bytes" }

func (f sizeFlag) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n < f.least {
		return fmt.Errorf("at least %s is needed", formatSize(f.least))
	}
	*f.p = n
	return nil
}

// permFlag are permission bits, in octal.
type permFlag struct{ p *fs.FileMode }

func (f permFlag) String() string {
	if f.p == nil {
		return ""
	}
	return fmt.Sprintf("%04o", uint32(*f.p))
}

func (permFlag) Type() string { return "octal" }

func (f permFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || n == 0 || n&^0o666 != 0 {
		return errors.New("want octal digits up to 0666, such as 0600 or 0640")
	}
	*f.p = fs.FileMode(n)
	return nil
}

// completeNames offers the names of objects of the kinds.
func completeNames(many bool, kinds ...samepage.Kind) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		infos, err := samepage.List()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		scope := samepage.Local.String()
		if f := c.Flag("scope"); f != nil {
			scope = f.Value.String()
		}
		var found []cobra.Completion
		for _, i := range infos {
			for _, k := range kinds {
				if i.Kind == k && i.Scope.String() == scope {
					found = append(found, cobra.CompletionWithDesc(i.Name, i.Kind.String()+", "+formatSize(i.Size)))
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeChoices offers the words of a flag that has few.
func completeChoices(c *cobra.Command, flag string, choices ...cobra.Completion) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		fmt.Fprintln(os.Stderr, "samepage:", err)
	}
}
