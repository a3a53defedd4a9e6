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

// object says which object a command uses, and which rights a new object gets. Its fields
// are flags that mean the same in all commands.
type object struct {
	scope samepage.Scope
	owner string
	exact bool
	kinds []samepage.Kind // the kinds that it may have, in the order in which they are tried
	perm  fs.FileMode     // of a new object; 0: the default
	sddl  string          // of a new object; "": the default
}

// addFlags adds the flags of every command that takes the name of an object.
func (o *object) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.Var(scopeFlag{&o.scope}, "scope", "the name belongs to this user (local) or to the whole machine (global)")
	f.StringVar(&o.owner, "owner", "", "accept an object of this `user` (name or id); *: of any user (default: you; in scope global also root)")
	completeChoices(c, "scope", "local", "global")
}

// addExact adds the flag of commands that also take names of other programs' objects.
func (o *object) addExact(f *pflag.FlagSet) {
	f.BoolVar(&o.exact, "exact", false, "NAME is the system's own name of the object, for objects of other programs")
}

// addRights adds the flags of commands that can create an object.
func (o *object) addRights(f *pflag.FlagSet) {
	f.Var(permFlag{&o.perm}, "perm", "permission bits of a new object on Linux, such as 0660 for a group or 0666 for everybody (default 0600)")
	f.StringVar(&o.sddl, "sddl", "", "security descriptor of a new object on Windows, as an `SDDL` string (default: its user and the system have access)")
}

func (o *object) addKind(c *cobra.Command) {
	o.kinds = samepage.Kinds()
	c.Flags().Var(kindFlag{&o.kinds}, "kind", "kind of the object (default: the first kind in this list that has an object of that name)")
	completeChoices(c, "kind", strings.Split(kindFlag{}.Type(), "|")...)
}

// options returns the options that find an object of kind k.
func (o *object) options(k samepage.Kind) *samepage.Options {
	return &samepage.Options{Scope: o.scope, Owner: o.owner, Exact: o.exact, Kind: k}
}

// creating returns options, with the rights of a new object added.
func (o *object) creating(k samepage.Kind) *samepage.Options {
	opts := o.options(k)
	opts.Perm, opts.SecurityDescriptor = o.perm, o.sddl
	return opts
}

// tellUnused tells which flags had no effect because the object exists: the flags about its
// rights, if they were given, and others.
func (o *object) tellUnused(w io.Writer, name string, others ...string) {
	if o.perm != 0 {
		others = append(others, "--perm")
	}
	if o.sddl != "" {
		others = append(others, "--sddl")
	}
	if len(others) > 0 {
		fmt.Fprintf(w, "samepage: %s exists already; not used: %s\n", plain(name), strings.Join(others, ", "))
	}
}

// first calls f with the options of each kind that the object may have, until there is an
// object of that kind.
func (o *object) first(name string, f func(*samepage.Options) error) error {
	var other error
	for _, k := range o.kinds {
		err := f(o.options(k))
		// A damaged object exists, whatever its kind was.
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, samepage.ErrKindMismatch) && !errors.Is(err, samepage.ErrCorrupt)
		if len(o.kinds) == 1 || !missing {
			return o.notThere(k, name, err)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			other = err // an exact name has one kind, perhaps a kind that samepage does not know
		}
	}
	if other != nil {
		return other
	}
	return o.missing("object", name, fs.ErrNotExist)
}

// vanishes says whether an object that this command creates is gone when the command ends:
// on Windows an exact name exists only while a program has a handle of it.
func (o *object) vanishes() bool { return o.exact && runtime.GOOS == "windows" }

// flagError turns the error about an option out of range into one about the flag, if the
// command has a flag for that option. It returns other errors unchanged.
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
	if f.p == nil { // pflag calls String of a zero value
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

// sizeFlag is a number of bytes that is not below least.
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

// permFlag is a set of permission bits, in octal.
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

// completeNames completes an argument with the names of objects of these kinds.
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
				// A shell shows these names, so those with control characters are left out.
				if i.Kind == k && i.Scope.String() == scope && visible(i.Name) == i.Name {
					found = append(found, cobra.CompletionWithDesc(i.Name, i.Kind.String()+", "+formatSize(i.Size)))
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeChoices completes the value of a flag that has few possible values.
func completeChoices(c *cobra.Command, flag string, choices ...cobra.Completion) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		fmt.Fprintln(os.Stderr, "samepage:", err)
	}
}
