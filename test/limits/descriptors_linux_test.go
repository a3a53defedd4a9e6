package limits

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/internal/sys/process"
)

// descriptors counts those of this process.
func descriptors() int {
	n, _, err := process.Usage()
	if err != nil {
		panic(err)
	}
	return n
}

// What doctor says of each kind's descriptors is what they take.
func TestDescriptorsOfEachKind(t *testing.T) {
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	create(t, "first", 1, nil) // so that nothing is made for the first time below
	for _, k := range everyKind {
		before := descriptors()
		first, err := k.create(dir, "descriptors")
		ipctest.NoErr(t, err)
		between := descriptors()
		takes := sys.Descriptors{First: between - before, Further: k.takes.Further}
		if k.further != nil {
			further, err := k.further(dir, "descriptors")
			ipctest.NoErr(t, err)
			takes.Further = descriptors() - between
			ipctest.NoErr(t, further.Close())
		}
		if takes != k.takes {
			t.Errorf("%s takes %+v, and is said to take %+v", k.name, takes, k.takes)
		}
		ipctest.NoErr(t, first.Close())
		if after := descriptors(); after != before {
			t.Errorf("%s: %d descriptors stay open", k.name, after-before)
		}
		_ = samepage.Remove("descriptors", &samepage.Options{Exact: true})
	}
}

// leaveDescriptors has exactly n descriptors left for this process.
func leaveDescriptors(n int) {
	var l unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	l.Cur = 0
	for ; ; l.Cur++ {
		if _, err := unix.FcntlInt(uintptr(l.Cur), unix.F_GETFD, 0); err == nil {
			continue
		}
		if n == 0 {
			break
		}
		n--
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		panic(err)
	}
}

// Whatever is made or opened while the process runs out of descriptors fails with EMFILE, which
// errors.Is finds, and a text that tells how many are open; never as if anything were
// wrong with the object or its place.
func TestOutOfDescriptors(t *testing.T) {
	ipctest.Store(t)
	c := ipctest.Start(t, "outoffiles", ipctest.Dir(t))
	for c.Send("go"); ; {
		l := c.Line()
		if l == "done" {
			break
		}
		t.Error(l)
	}
}

func init() {
	helpers["outoffiles"] = func(args []string) {
		var was unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &was)
		_ = descriptors() // Go opens two for its poller at the first file
		m, err := samepage.CreateUnnamed(1, nil)
		if err != nil {
			fmt.Println(err)
		}
		try := func(what string, do func() (closer, error)) {
			for n := 0; ; n++ {
				before := descriptors()
				leaveDescriptors(n)
				var l unix.Rlimit
				_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
				o, err := do()
				_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
				if err == nil {
					if err := o.Close(); err != nil {
						fmt.Printf("%s: close: %v\n", what, err)
					}
				}
				if after := descriptors(); after != before {
					fmt.Printf("%s with %d descriptors left: %d stay open\n", what, n, after-before)
				}
				if err == nil {
					return
				}
				want := fmt.Sprintf("%d of %d descriptors", l.Cur, l.Cur)
				if !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), want) || n > 20 {
					fmt.Printf("%s with %d descriptors left: %v\n", what, n, err)
				}
				for _, wrong := range []error{samepage.ErrStore, samepage.ErrCorrupt, samepage.ErrBadToken, samepage.ErrPeerNotStarted, samepage.ErrNoSpace} {
					if errors.Is(err, wrong) {
						fmt.Printf("%s with %d descriptors left: told as %v: %v\n", what, n, wrong, err)
					}
				}
				if n > 20 {
					return
				}
			}
		}
		for _, k := range everyKind {
			try("create "+k.name, func() (closer, error) {
				_ = samepage.Remove("x", &samepage.Options{Exact: true})
				return k.create(args[0], "x")
			})
			if k.further != nil {
				_ = samepage.Remove("x", &samepage.Options{Exact: true})
				o, err := k.create(args[0], "x")
				if err != nil {
					fmt.Println(k.name, err)
					continue
				}
				try("open "+k.name, func() (closer, error) { return k.further(args[0], "x") })
				_ = o.Close()
			}
		}
		try("attach", func() (closer, error) {
			token, err := samepage.Grant(os.Getpid(), m, samepage.ReadWrite)
			if err != nil {
				return nil, err
			}
			return samepage.Attach(token)
		})
		fmt.Println("done")
	}
}

// A view that does not fit a limit says which one.
func TestOutOfAddressSpace(t *testing.T) {
	c := ipctest.Start(t, "outofspace")
	if l := c.Line(); l != "true true" {
		t.Error(l)
	}
}

func init() {
	helpers["outofspace"] = func([]string) {
		size := int64(min(1<<32, math.MaxInt/2+1)) // what has addresses at all
		m, err := samepage.CreateUnnamed(size, &samepage.Options{Sparse: true})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: uint64(size), Max: uint64(size)})
		_, err = m.View(0, 0, samepage.ReadWrite)
		if !strings.Contains(err.Error(), fmt.Sprintf("of %d bytes of address space", size)) {
			fmt.Println(err)
		}
		fmt.Println(errors.Is(err, unix.ENOMEM), errors.Is(err, samepage.ErrNoSpace))
	}
}
