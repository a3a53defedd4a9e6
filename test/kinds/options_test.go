package kinds

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/memtest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
	"samepage/legacy/earseimage"
	"samepage/legacy/sharememory"
	"samepage/legacy/text"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// optionsCase is one type of options: which values of each field are out of range, and
// who is given them.
type optionsCase struct {
	zero any // a struct that is in range
	// bad values by field. Fields without any are listed in free.
	bad  map[string][]any
	free []string
	use  map[string]func(t *testing.T, o any) error // o points to a struct like zero
}

// The bad values of fields that several packages have.
var (
	badScope    = []any{samepage.Scope(2), samepage.Scope(99)}
	badLifetime = []any{samepage.Lifetime(2), samepage.Lifetime(99)}
	badPerm     = []any{fs.FileMode(0o755), fs.FileMode(0o1600), fs.ModeDir | 0o600}
	badMembers  = []any{-1, 1025, int(^uint(0) >> 1)}
)

// closed closes what should not be there, and is err.
func closed[T interface{ Close() error }](v T, err error) error {
	if err == nil {
		err = errors.Join(v.Close())
	}
	return err
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func optionsCases() []optionsCase {
	type M = map[string][]any
	type U = map[string]func(*testing.T, any) error
	there := func(t *testing.T, f func() error) error { // with an object that exists
		t.Helper()
		m := must(ipcsync.CreateMutex("there", nil))(t)
		s := must(ipcsync.CreateSemaphore("there", 1, 1, nil))(t)
		w := must(ipcsync.CreateRWMutex("there", nil))(t)
		e := must(ipcsync.CreateEvent("there", nil))(t)
		p := must(pubsub.CreatePublisher("there", nil))(t)
		c := must(cell.CreateWriter("there", 8, nil))(t)
		g := must(samepage.Create("there", 8, nil))(t)
		l := must(stream.Listen("there", nil))(t)
		r := must(rpc.CreateClient("there", nil))(t)
		err := f()
		if cerr := errors.Join(r.Close(), m.Close(), s.Close(), w.Close(), e.Close(), p.Close(), c.Close(), g.Close(), l.Close()); cerr != nil {
			t.Error(cerr)
		}
		return err
	}
	both := func(f func(name string) error) func(t *testing.T) error {
		return func(t *testing.T) error {
			if err := f("none"); !errors.Is(err, fs.ErrInvalid) {
				return fmt.Errorf("without an object: %w", err)
			}
			return there(t, func() error { return f("there") })
		}
	}
	lock := func(f func(name string, o *ipcsync.Options) error) func(*testing.T, any) error {
		return func(t *testing.T, o any) error {
			return both(func(name string) error { return f(name, o.(*ipcsync.Options)) })(t)
		}
	}
	event := func(f func(name string, o *ipcsync.EventOptions) error) func(*testing.T, any) error {
		return func(t *testing.T, o any) error {
			return both(func(name string) error { return f(name, o.(*ipcsync.EventOptions)) })(t)
		}
	}
	topic := func(f func(name string, o *pubsub.Options) error) func(*testing.T, any) error {
		return func(t *testing.T, o any) error {
			return both(func(name string) error { return f(name, o.(*pubsub.Options)) })(t)
		}
	}
	service := func(f func(name string, o *rpc.Options) error) func(*testing.T, any) error {
		return func(t *testing.T, o any) error {
			return both(func(name string) error { return f(name, o.(*rpc.Options)) })(t)
		}
	}
	memory := func(f func(name string, o *samepage.Options) error) func(*testing.T, any) error {
		return func(t *testing.T, o any) error {
			return both(func(name string) error { return f(name, o.(*samepage.Options)) })(t)
		}
	}
	type value struct{ A uint64 }
	return []optionsCase{
		{
			zero: samepage.Options{},
			bad: M{
				"Scope": badScope, "Kind": {samepage.Kind(99)}, "Lifetime": badLifetime, "Perm": badPerm,
				"Access":   {samepage.CopyOnWrite, samepage.Access(99)},
				"Truncate": {true}, // without Exclusive
			},
			free: []string{"Exact", "File", "Exclusive", "Sparse", "SecurityDescriptor", "Owner", "Init"},
			use: U{
				"Create": memory(func(name string, o *samepage.Options) error { return closed(samepage.Create(name, 8, o)) }),
				"Open":   memory(func(name string, o *samepage.Options) error { return closed(samepage.Open(name, o)) }),
				"OpenOrCreate": memory(func(name string, o *samepage.Options) error {
					m, _, err := samepage.OpenOrCreate(name, 8, o)
					return closed(m, err)
				}),
				"Stat":          memory(func(name string, o *samepage.Options) error { _, err := samepage.Stat(name, o); return err }),
				"Remove":        memory(func(name string, o *samepage.Options) error { return samepage.Remove(name, o) }),
				"CreateUnnamed": func(_ *testing.T, o any) error { return closed(samepage.CreateUnnamed(8, o.(*samepage.Options))) },
				"MapFile": func(t *testing.T, o any) error {
					return closed(samepage.MapFile(ipctest.Dir(t)+"/file", 8, o.(*samepage.Options)))
				},
			},
		},
		{
			zero: samepage.Options{},
			bad:  M{"Exact": {true}, "File": {"file"}, "Init": {make([]byte, 9)}},
			free: []string{"Scope", "Kind", "Lifetime", "Perm", "Access", "Truncate", "Exclusive", "Sparse", "SecurityDescriptor", "Owner"},
			use: U{
				"CreateUnnamed": func(_ *testing.T, o any) error { return closed(samepage.CreateUnnamed(8, o.(*samepage.Options))) },
			},
		},
		{
			zero: ipcsync.Options{},
			bad:  M{"Scope": badScope, "Lifetime": badLifetime, "Members": badMembers, "Perm": badPerm},
			free: []string{"SecurityDescriptor", "Owner"},
			use: U{
				"CreateMutex": lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.CreateMutex(n, o)) }),
				"OpenMutex":   lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.OpenMutex(n, o)) }),
				"OpenOrCreateMutex": lock(func(n string, o *ipcsync.Options) error {
					m, _, err := ipcsync.OpenOrCreateMutex(n, o)
					return closed(m, err)
				}),
				"CreateRWMutex": lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.CreateRWMutex(n, o)) }),
				"OpenRWMutex":   lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.OpenRWMutex(n, o)) }),
				"OpenOrCreateRWMutex": lock(func(n string, o *ipcsync.Options) error {
					m, _, err := ipcsync.OpenOrCreateRWMutex(n, o)
					return closed(m, err)
				}),
				"CreateSemaphore": lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.CreateSemaphore(n, 1, 1, o)) }),
				"OpenSemaphore":   lock(func(n string, o *ipcsync.Options) error { return closed(ipcsync.OpenSemaphore(n, o)) }),
				"OpenOrCreateSemaphore": lock(func(n string, o *ipcsync.Options) error {
					m, _, err := ipcsync.OpenOrCreateSemaphore(n, 1, 1, o)
					return closed(m, err)
				}),
			},
		},
		{
			zero: ipcsync.EventOptions{},
			bad:  M{"Scope": badScope, "Lifetime": badLifetime, "Members": badMembers, "Perm": badPerm},
			free: []string{"Exact", "Manual", "Set", "SecurityDescriptor", "Owner"},
			use: U{
				"CreateEvent": event(func(n string, o *ipcsync.EventOptions) error { return closed(ipcsync.CreateEvent(n, o)) }),
				"OpenEvent":   event(func(n string, o *ipcsync.EventOptions) error { return closed(ipcsync.OpenEvent(n, o)) }),
				"OpenOrCreateEvent": event(func(n string, o *ipcsync.EventOptions) error {
					m, _, err := ipcsync.OpenOrCreateEvent(n, o)
					return closed(m, err)
				}),
				"CreateEvent exact": event(func(n string, o *ipcsync.EventOptions) error {
					e := *o
					e.Exact = true
					return closed(ipcsync.CreateEvent("samepage-test-"+n, &e))
				}),
			},
		},
		{
			zero: samepage.InspectOptions{},
			bad:  M{"Scope": badScope},
			free: []string{"Owner"},
			use: U{
				"InspectMutex":     look(ipcsync.InspectMutex),
				"InspectRWMutex":   look(ipcsync.InspectRWMutex),
				"InspectSemaphore": look(ipcsync.InspectSemaphore),
				"InspectEvent":     look(ipcsync.InspectEvent),
				"pubsub.Inspect":   look(pubsub.Inspect),
				"cell.Inspect":     look(cell.Inspect),
				"stream.Inspect":   look(stream.Inspect),
				"rpc.Inspect":      look(rpc.Inspect),
			},
		},
		{
			zero: pubsub.Options{},
			bad: M{
				"Scope": badScope, "Lifetime": badLifetime, "Members": badMembers, "Perm": badPerm,
				"MaxSize": large(-1, 1<<32), "Pack": large(-1, 7, 1<<32-23), "Depth": {-1, 524289}, "NamedReaders": {-1, 1025}, "Publishers": {-1, 65}, "Holds": {-1, 1024},
				"Loans": {-1, 65537}, "EvictAfter": {time.Duration(-1)}, "Schema": {"x"},
			},
			free: []string{"Checksums", "Times", "AsItIs", "SecurityDescriptor", "Owner"},
			use: U{
				"OpenOrCreatePublisher": topic(func(n string, o *pubsub.Options) error { return closed(existing(pubsub.OpenOrCreatePublisher(n, o))) }),
				"CreatePublisher":       topic(func(n string, o *pubsub.Options) error { return closed(pubsub.CreatePublisher(n, o)) }),
				"OpenPublisher":         topic(func(n string, o *pubsub.Options) error { return closed(pubsub.OpenPublisher(n, o)) }),
				"AwaitPublisher":        topic(func(n string, o *pubsub.Options) error { return closed(pubsub.AwaitPublisher(ended(), n, o)) }),
				"Options.Size":          topic(func(_ string, o *pubsub.Options) error { _, err := o.Size(); return err }),
				"OpenOrCreatePublisherOf": notFor("Schema", notFor("MaxSize", topic(func(n string, o *pubsub.Options) error {
					return closed(existing(pubsub.OpenOrCreatePublisherOf[value](n, o)))
				}))),
				"frame.OpenOrCreatePublisher": notFor("MaxSize", notFor("EvictAfter", topic(func(n string, o *pubsub.Options) error {
					return closed(existing(frame.OpenOrCreatePublisher(n, frame.Spec{Format: frame.Gray, Width: 1, Height: 1}, o)))
				}))),
			},
		},
		{
			zero: pubsub.Options{Members: 1024, Depth: 524288}, // each in range, and too much together
			bad:  M{"Holds": {1023}},
			free: []string{"Scope", "Lifetime", "Members", "Perm", "MaxSize", "Pack", "Depth", "Publishers", "Loans", "EvictAfter", "Checksums", "Times", "NamedReaders", "AsItIs", "Schema", "SecurityDescriptor", "Owner"},
			use: U{
				"OpenOrCreatePublisher": topic(func(n string, o *pubsub.Options) error { return closed(existing(pubsub.OpenOrCreatePublisher(n, o))) }),
			},
		},
		{
			zero: pubsub.SubscriberOptions{},
			bad:  M{"Scope": badScope, "From": {pubsub.From(-1), pubsub.From(3)}},
			free: []string{"At", "Reader", "BestEffort", "Owner"},
			use: U{
				"OpenSubscriber": func(_ *testing.T, o any) error {
					return closed(pubsub.OpenSubscriber("none", o.(*pubsub.SubscriberOptions)))
				},
				"OpenSubscriberOf": func(_ *testing.T, o any) error {
					return closed(pubsub.OpenSubscriberOf[value]("none", o.(*pubsub.SubscriberOptions)))
				},
				"AwaitSubscriber": func(_ *testing.T, o any) error {
					return closed(pubsub.AwaitSubscriber(ended(), "none", o.(*pubsub.SubscriberOptions)))
				},
				"frame.OpenSubscriber": func(_ *testing.T, o any) error {
					return closed(frame.OpenSubscriber("none", o.(*pubsub.SubscriberOptions)))
				},
			},
		},
		{
			zero: inspect.WatchOptions{},
			bad:  M{"Scope": badScope, "From": {inspect.From(-1), inspect.From(3)}, "Most": {-2}},
			free: []string{"Owner"},
			use: U{
				"Watch": func(_ *testing.T, o any) error {
					return closed(inspect.Watch(samepage.KindTopic, "none", o.(*inspect.WatchOptions)))
				},
				"AwaitWatcher": func(_ *testing.T, o any) error {
					return closed(inspect.AwaitWatcher(ended(), samepage.KindCell, "none", o.(*inspect.WatchOptions)))
				},
			},
		},
		{
			zero: cell.Options{},
			bad:  M{"Scope": badScope, "Lifetime": badLifetime, "Members": badMembers, "Perm": badPerm, "Holds": {-1, 1024}, "Schema": {"int", "a={", "int8 int8", "[0]int8"}},
			free: []string{"Checksums", "Times", "AsItIs", "SecurityDescriptor", "Owner"},
			use: U{
				"OpenOrCreateWriter": func(t *testing.T, o any) error {
					return both(func(n string) error { return closed(existing(cell.OpenOrCreateWriter(n, 8, o.(*cell.Options)))) })(t)
				},
				"CreateWriterOf": notFor("Schema", func(_ *testing.T, o any) error { return closed(cell.CreateWriterOf[value]("none", o.(*cell.Options))) }),
				"OpenWriter": func(t *testing.T, o any) error {
					return both(func(n string) error { return closed(cell.OpenWriter(n, o.(*cell.Options))) })(t)
				},
				"Options.Size": func(_ *testing.T, o any) error { _, err := o.(*cell.Options).Size(8); return err },
			},
		},
		{
			zero: stream.Options{},
			bad: M{
				"Scope": badScope, "Members": badMembers, "Perm": badPerm, "Connections": {-1, 4097},
				"Buffer": {-1, 4095, 4097, 1<<30 + 1},
			},
			free: []string{"SecurityDescriptor", "Owner"},
			use: U{
				"Listen": func(t *testing.T, o any) error {
					return both(func(n string) error { return closed(stream.Listen(n, o.(*stream.Options))) })(t)
				},
				"Dial": func(t *testing.T, o any) error {
					return both(func(n string) error { return closed(stream.Dial(ended(), n, o.(*stream.Options))) })(t)
				},
			},
		},
		{
			zero: cell.ReaderOptions{},
			bad:  M{"Scope": badScope},
			free: []string{"Owner", "NeedsWriter"},
			use: U{
				"OpenReader": func(_ *testing.T, o any) error { return closed(cell.OpenReader("none", o.(*cell.ReaderOptions))) },
				"AwaitReader": func(_ *testing.T, o any) error {
					return closed(cell.AwaitReader(ended(), "none", o.(*cell.ReaderOptions)))
				},
			},
		},
		{
			zero: rpc.Options{},
			bad: M{
				"Scope": badScope, "Lifetime": badLifetime, "Members": badMembers, "Perm": badPerm, "Calls": {-1, 1025}, "Parts": {-1, 65},
				"Request": large(-1, 1<<32), "Response": large(-1, 1<<32), "Schema": {"int8", "int8 a={", "int8 int8 int8", "[0]int8 int8"},
			},
			free: []string{"SecurityDescriptor", "Owner"},
			use: U{
				"CreateClient":       service(func(n string, o *rpc.Options) error { return closed(rpc.CreateClient(n, o)) }),
				"OpenClient":         service(func(n string, o *rpc.Options) error { return closed(rpc.OpenClient(n, o)) }),
				"OpenOrCreateClient": service(func(n string, o *rpc.Options) error { return closed(existing(rpc.OpenOrCreateClient(n, o))) }),
				"AwaitClient":        service(func(n string, o *rpc.Options) error { return closed(rpc.AwaitClient(ended(), n, o)) }),
				"CreateWorker":       service(func(n string, o *rpc.Options) error { return closed(rpc.CreateWorker(n, o)) }),
				"OpenWorker":         service(func(n string, o *rpc.Options) error { return closed(rpc.OpenWorker(n, o)) }),
				"OpenOrCreateWorker": service(func(n string, o *rpc.Options) error { return closed(existing(rpc.OpenOrCreateWorker(n, o))) }),
				"AwaitWorker":        service(func(n string, o *rpc.Options) error { return closed(rpc.AwaitWorker(ended(), n, o)) }),
				"CreateClientOf": notFor("Schema", service(func(n string, o *rpc.Options) error {
					return closed(rpc.CreateClientOf[value, value](n, o))
				})),
				"OpenOrCreateWorkerOf": notFor("Schema", service(func(n string, o *rpc.Options) error {
					return closed(existing(rpc.OpenOrCreateWorkerOf[value, value](n, o)))
				})),
				"Options.Size": service(func(_ string, o *rpc.Options) error { _, err := o.Size(); return err }),
			},
		},
		{
			zero: frame.Spec{Format: frame.I420, Width: 4, Height: 4},
			bad: M{
				"Format": {frame.Format(0), frame.Format(99)}, "Width": {-1, 0, 16385}, "Height": {-1, 0, 16385},
				"Stride": {-1, 3, 1<<20 + 1}, "Region": {image.Rect(-1, 0, 1, 1), image.Rect(3, 3, 3, 4)},
				"Siting": {frame.Siting(99)}, "Range": {frame.Range(99)}, "Interlace": {frame.Interlace(99)},
				"Aspect": {frame.Ratio{Num: 1}, frame.Ratio{Num: -1, Den: 1}}, "Rate": {frame.Ratio{Den: 1}, frame.Ratio{Num: 1, Den: -1}},
				"Matrix": {frame.Matrix(99)}, "Params": {"two\nlines", strings.Repeat("x", frame.MaxParams+1)},
			},
			free: []string{"Seq", "Time"},
			use: U{
				"Check":           func(_ *testing.T, o any) error { return o.(*frame.Spec).Check() },
				"New":             func(_ *testing.T, o any) error { _, err := frame.New(make([]byte, 4096), *o.(*frame.Spec)); return err },
				"CreatePublisher": func(_ *testing.T, o any) error { return closed(frame.CreatePublisher("none", *o.(*frame.Spec), nil)) },
			},
		},
		{
			zero: sharememory.FileLockOptions{},
			bad:  M{"Boot": {int64(-2)}},
			free: []string{"Dir"},
			use: U{
				"NewFileLock": func(t *testing.T, o any) error {
					l := *o.(*sharememory.FileLockOptions)
					l.Dir = ipctest.Dir(t)
					return closed(sharememory.NewFileLock("none", &l))
				},
				"CleanFileLocks": func(t *testing.T, o any) error {
					l := *o.(*sharememory.FileLockOptions)
					l.Dir = ipctest.Dir(t)
					_, err := sharememory.CleanFileLocks(&l)
					return err
				},
			},
		},
		{
			zero: sharememory.Options{},
			bad: M{
				"Layout": {sharememory.Layout(-1), sharememory.Layout(2)},
				"Lock":   {sharememory.FileLockOptions{Boot: -2}},
			},
			free: []string{"Truncate"},
			use: U{
				"CreateWriter": func(t *testing.T, o any) error {
					return closed(sharememory.CreateWriter(t.Context(), "none", 8, o.(*sharememory.Options)))
				},
				"OpenReader": func(_ *testing.T, o any) error {
					return closed(sharememory.OpenReader("none", o.(*sharememory.Options)))
				},
				"AwaitReader": func(_ *testing.T, o any) error {
					return closed(sharememory.AwaitReader(ended(), "none", o.(*sharememory.Options)))
				},
				"NewLock": func(_ *testing.T, o any) error {
					return closed(sharememory.NewLock("none", o.(*sharememory.Options)))
				},
			},
		},
		{
			zero: baseimage.SenderOptions{},
			bad:  M{"Size": large(-1, 1, 16, 1<<31), "Align": {-1, 4097}},
			free: []string{"Name", "Event", "Start"},
			use: U{
				"CreateSender": func(_ *testing.T, o any) error {
					return closed(baseimage.CreateSender(o.(*baseimage.SenderOptions)))
				},
				"OpenOrCreateSender": func(_ *testing.T, o any) error {
					s, _, err := baseimage.OpenOrCreateSender(o.(*baseimage.SenderOptions))
					return closed(s, err)
				},
			},
		},
		{zero: baseimage.ReceiverOptions{}, free: []string{"Name", "Event", "Settle"}},
		{zero: earseimage.RequesterOptions{}, free: []string{"SecurityDescriptor"}},
		{zero: earseimage.WorkerOptions{}, free: []string{"Log", "Ready"}},
	}
}

// large are those of the values that an int holds.
func large(all ...int64) (fit []any) {
	for _, v := range all {
		if int64(int(v)) == v {
			fit = append(fit, int(v))
		}
	}
	return fit
}

// errExcept says that a function does not look at the field.
var errExcept = errors.New("not looked at")

func notFor(field string, f func(*testing.T, any) error) func(*testing.T, any) error {
	return func(t *testing.T, o any) error {
		if v := reflect.ValueOf(o).Elem().FieldByName(field); !v.IsZero() {
			return errExcept
		}
		return f(t, o)
	}
}

// An option out of range is fs.ErrInvalid in every package, at whatever first gets it,
// whether the object exists or not, and the error has its name, its value and the range.
// A field that is in no row fails, too.
func TestOptionOutOfRange(t *testing.T) {
	ipctest.NeedNames(t)
	names := map[string]string{"Lock": "Boot"} // options in options
	for _, c := range optionsCases() {
		typ := reflect.TypeOf(c.zero)
		for i := range typ.NumField() {
			f := typ.Field(i)
			row := len(c.bad[f.Name]) > 0
			for _, name := range c.free {
				row = row || name == f.Name
			}
			if !row {
				t.Errorf("%v.%s: no value is said to be out of range, nor that any is in range", typ, f.Name)
			}
		}
		for field, values := range c.bad {
			if runtime.GOOS == "windows" {
				values = values[:1] // what checks them is the same on Linux
			}
			for _, value := range values {
				for name, use := range c.use {
					t.Run(fmt.Sprintf("%v/%s=%v/%s", typ, field, value, name), func(t *testing.T) {
						o := reflect.New(typ)
						o.Elem().Set(reflect.ValueOf(c.zero))
						o.Elem().FieldByName(field).Set(reflect.ValueOf(value))
						err := use(t, o.Interface())
						if err == errExcept {
							t.Skip("this function does not look at the field")
						}
						word := field
						if n := names[field]; n != "" {
							word = n
						}
						ipctest.WantErr(t, err, fs.ErrInvalid, word, " is ", ", want ")
						for _, not := range []error{samepage.ErrCorrupt, samepage.ErrTooManyMembers, fs.ErrNotExist} {
							if errors.Is(err, not) {
								t.Errorf("%v also matches %v", err, not)
							}
						}
					})
				}
			}
		}
	}
}

// A parameter out of range is the same error in every package.
func TestParameterOutOfRange(t *testing.T) {
	ipctest.NeedNames(t)
	m := memtest.Create(t, "m", 8, nil)
	for name, c := range map[string]struct{ err, want error }{
		"memory of 0":       {closed(samepage.Create("x", 0, nil)), samepage.ErrZeroSize},
		"memory of -1":      {closed(samepage.Create("x", -1, nil)), samepage.ErrNegativeSize},
		"memory of 1 << 47": {closed(samepage.Create("x", 1<<47, nil)), samepage.ErrTooLarge},
		"unnamed of -1":     {closed(samepage.CreateUnnamed(-1, nil)), samepage.ErrNegativeSize},
		"file of -1":        {closed(samepage.MapFile("x", -1, nil)), samepage.ErrNegativeSize},
		"cell of 0":         {closed(cell.CreateWriter("x", 0, nil)), samepage.ErrZeroSize},
		"cell of -1":        {closed(cell.CreateWriter("x", -1, nil)), samepage.ErrNegativeSize},
		"text of -1":        {closed(text.Create("x", "", -1)), samepage.ErrNegativeSize},
		"ShareMemory of 0":  {closed(sharememory.CreateWriter(t.Context(), "x", 0, nil)), samepage.ErrZeroSize},
		"ShareMemory of -1": {closed(sharememory.CreateWriter(t.Context(), "x", -1, nil)), samepage.ErrNegativeSize},
		"Init":              {closed(samepage.Create("x", 1, &samepage.Options{Init: []byte("12")})), samepage.ErrRange},
		"topic":             {closed(pubsub.CreatePublisher("x", &pubsub.Options{MaxSize: -1})), samepage.ErrNegativeSize},
		"access":            {closed(m.View(0, 0, samepage.Access(9))), fs.ErrInvalid},
		"max":               {closed(ipcsync.CreateSemaphore("x", 0, 0, nil)), fs.ErrInvalid},
		"count":             {closed(ipcsync.CreateSemaphore("x", 3, 2, nil)), fs.ErrInvalid},
		"count of any":      {closed(existing(ipcsync.OpenOrCreateSemaphore("x", 3, 2, nil))), fs.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			ipctest.WantErr(t, c.err, c.want, " is ", ", want ")
			if errors.Is(c.err, samepage.ErrCorrupt) {
				t.Errorf("%v also matches ErrCorrupt", c.err)
			}
		})
	}
}

func existing[T any](v T, _ bool, err error) (T, error) { return v, err }

// What is only known of the system when it is needed is fs.ErrInvalid, too: an account
// that there is not and, on Windows, a security descriptor that is none.
func TestOptionOfTheSystemOutOfRange(t *testing.T) {
	ipctest.NeedNames(t)
	memtest.Create(t, "m", 8, nil)
	_, err := samepage.Open("m", &samepage.Options{Owner: "no such user"})
	ipctest.WantErr(t, err, fs.ErrInvalid, "no such user")
	if runtime.GOOS != "windows" {
		return
	}
	for name, f := range map[string]func(sddl string) error{
		"memory": func(s string) error { return closed(samepage.Create("x", 8, &samepage.Options{SecurityDescriptor: s})) },
		"mutex":  func(s string) error { return closed(ipcsync.CreateMutex("x", &ipcsync.Options{SecurityDescriptor: s})) },
		"event": func(s string) error {
			return closed(ipcsync.CreateEvent("x", &ipcsync.EventOptions{SecurityDescriptor: s}))
		},
		"exact event": func(s string) error {
			return closed(ipcsync.CreateEvent("samepage-test-x", &ipcsync.EventOptions{Exact: true, SecurityDescriptor: s}))
		},
		"topic": func(s string) error {
			return closed(pubsub.CreatePublisher("x", &pubsub.Options{SecurityDescriptor: s}))
		},
		"cell":     func(s string) error { return closed(cell.CreateWriter("x", 8, &cell.Options{SecurityDescriptor: s})) },
		"listener": func(s string) error { return closed(stream.Listen("x", &stream.Options{SecurityDescriptor: s})) },
		"service": func(s string) error {
			return closed(rpc.CreateWorker("x", &rpc.Options{SecurityDescriptor: s}))
		},
	} {
		t.Run(name, func(t *testing.T) { ipctest.WantErr(t, f("nonsense"), fs.ErrInvalid, "nonsense") })
	}
}

func look[T any](inspect func(name string, o *samepage.InspectOptions) (T, error)) func(*testing.T, any) error {
	return func(_ *testing.T, o any) error {
		_, err := inspect("none", o.(*samepage.InspectOptions))
		return err
	}
}

// Who opens what exists, and gives an option that only counts when an object is made, is
// told so; with OpenOrCreate the option is right, and existed says whether it was used.
func TestOptionOnlyForCreate(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	memory := must(samepage.Create("m", 8, nil))(t)
	defer memory.Close()
	mutex := must(ipcsync.CreateMutex("m", nil))(t)
	defer mutex.Close()
	event := must(ipcsync.CreateEvent("m", nil))(t)
	defer event.Close()
	for name, o := range map[string]samepage.Options{
		"Lifetime": {Lifetime: samepage.Persist}, "File": {File: "f"}, "Exclusive": {Exclusive: true},
		"Truncate": {Truncate: true}, "Sparse": {Sparse: true}, "Perm": {Perm: 0o600},
		"SecurityDescriptor": {SecurityDescriptor: "D:"}, "Init": {Init: []byte{1}},
	} {
		_, err := samepage.Open("m", &o)
		onlyCreate(t, "Open", name, err)
		_, err = samepage.Await(t.Context(), "m", &o)
		onlyCreate(t, "Await", name, err)
		_, err = samepage.Stat("m", &o)
		onlyCreate(t, "Stat", name, err)
		onlyCreate(t, "Remove", name, samepage.Remove("m", &o))
	}
	m, existed, err := samepage.OpenOrCreate("m", 8, &samepage.Options{Perm: 0o600, Init: []byte{1}})
	if err != nil || !existed {
		t.Fatalf("open or create: existed %t, %v", existed, err)
	}
	ipctest.NoErr(t, m.Close())
	for name, o := range map[string]ipcsync.Options{
		"Lifetime": {Lifetime: samepage.Persist}, "Members": {Members: 3}, "Perm": {Perm: 0o600}, "SecurityDescriptor": {SecurityDescriptor: "D:"},
	} {
		_, err := ipcsync.OpenMutex("m", &o)
		onlyCreate(t, "OpenMutex", name, err)
		_, err = ipcsync.AwaitMutex(t.Context(), "m", &o)
		onlyCreate(t, "AwaitMutex", name, err)
		_, err = ipcsync.OpenRWMutex("m", &o)
		onlyCreate(t, "OpenRWMutex", name, err)
		_, err = ipcsync.OpenSemaphore("m", &o)
		onlyCreate(t, "OpenSemaphore", name, err)
	}
	for name, o := range map[string]ipcsync.EventOptions{
		"Lifetime": {Lifetime: samepage.Persist}, "Members": {Members: 3}, "Perm": {Perm: 0o600},
		"SecurityDescriptor": {SecurityDescriptor: "D:"}, "Manual": {Manual: true}, "Set": {Set: true},
	} {
		_, err := ipcsync.OpenEvent("m", &o)
		onlyCreate(t, "OpenEvent", name, err)
		_, err = ipcsync.AwaitEvent(t.Context(), "m", &o)
		onlyCreate(t, "AwaitEvent", name, err)
	}
}

func onlyCreate(t *testing.T, call, option string, err error) {
	t.Helper()
	if !errors.Is(err, fs.ErrInvalid) || !strings.Contains(err.Error(), option+" is ") {
		t.Errorf("%s with %s: %v", call, option, err)
	}
}
