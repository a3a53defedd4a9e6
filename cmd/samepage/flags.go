package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samepage"
	"samepage/internal/option"
)

// object says which object is meant, and what rights a new one has; its fields are
// flags, which are the same for all commands.
type object struct {
	scope samepage.Scope
	owner string
	exact bool
	kinds []samepage.Kind // that it may be, in this order
	perm  fs.FileMode     // of a new one; 0: the default
	sddl  string
}

// addFlags is for each command with the name of an object.
func (o *object) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.Var(scopeFlag{&o.scope}, "scope", "how far the name reaches")
	f.StringVar(&o.owner, "owner", "", "accept an object of this `user` (name or id), * of anybody (default: your own, and in scope global root's)")
	completeChoices(c, "scope", "local", "global")
}

// addExact is for the commands that take names of any program.
func (o *object) addExact(f *pflag.FlagSet) {
	f.BoolVar(&o.exact, "exact", false, "NAME is the system's bare name, of any program")
}

// addRights is for the commands that can make an object.
func (o *object) addRights(f *pflag.FlagSet) {
	f.Var(permFlag{&o.perm}, "perm", "permission bits of a new object on Linux, such as 0660 for a group or 0666 for everybody (default 0600)")
	f.StringVar(&o.sddl, "sddl", "", "security descriptor of a new object on Windows, as an SDDL `string` (default: for its user and the system)")
}

func (o *object) addKind(c *cobra.Command) {
	o.kinds = samepage.Kinds()
	c.Flags().Var(kindFlag{&o.kinds}, "kind", "kind of the object (default: the first of them that there is)")
	completeChoices(c, "kind", strings.Split(kindFlag{}.Type(), "|")...)
}

// options name an object of that kind.
func (o *object) options(k samepage.Kind) *samepage.Options {
	return &samepage.Options{Scope: o.scope, Owner: o.owner, Exact: o.exact, Kind: k}
}

// creating are options with the rights of a new object.
func (o *object) creating(k samepage.Kind) *samepage.Options {
	opts := o.options(k)
	opts.Perm, opts.SecurityDescriptor = o.perm, o.sddl
	return opts
}

// tellUnused says which flags did not count because the object exists: those of its
// rights, where they were given, and others.
func (o *object) tellUnused(w io.Writer, name string, others ...string) {
	if o.perm != 0 {
		others = append(others, "--perm")
	}
	if o.sddl != "" {
		others = append(others, "--sddl")
	}
	if len(others) > 0 {
		fmt.Fprintf(w, "samepage: %s exists already, so %s was not used\n", plain(name), strings.Join(others, ", "))
	}
}

// first calls f with the options of each kind that the object may be until one
// is there.
func (o *object) first(name string, f func(*samepage.Options) error) error {
	var other error
	for _, k := range o.kinds {
		err := f(o.options(k))
		// What is damaged is there, whatever it was.
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, samepage.ErrKindMismatch) && !errors.Is(err, samepage.ErrCorrupt)
		if len(o.kinds) == 1 || !missing {
			return o.notThere(k, name, err)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			other = err // an exact name is of one kind, and perhaps of none of ours
		}
	}
	if other != nil {
		return other
	}
	return o.missing("object", name, fs.ErrNotExist)
}

// vanishes says whether an object of this command is gone as soon as the command
// ends: on Windows a bare kernel name goes with its last handle.
func (o *object) vanishes() bool { return o.exact && runtime.GOOS == "windows" }

// flagError says in the words of the command line that an option is out of range which
// the command has a flag for. Other errors stay as they are.
func flagError(c *cobra.Command, err error) error {
	var bad *option.Error
	if !errors.As(err, &bad) || errors.Is(err, errUsage) {
		return err
	}
	var flag strings.Builder
	for i, r := range bad.Name {
		if unicode.IsUpper(r) && i > 0 {
			flag.WriteByte('-')
		}
		flag.WriteRune(unicode.ToLower(r))
	}
	name := strings.TrimPrefix(flag.String(), "max-") // MaxSize is --size
	if c.Flags().Lookup(name) == nil {
		return err
	}
	return usage(c, "--%s is %s, want %s", name, bad.Value, bad.Want)
}

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
	if f.p == nil || *f.p == 0 {
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
				// A shell shows what it is offered.
				if i.Kind == k && i.Scope.String() == scope && visible(i.Name) == i.Name {
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
