package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/pubsub"
)

// lineSize is how long a line may be in a topic that pub creates without --size.
const lineSize = 64 << 10

type pubOptions struct {
	object
	waiting
	lines   bool
	record  int64
	y4m     bool
	matrix  frame.Matrix
	images  string
	fps     frame.Ratio
	limit   int64
	partial bool

	size       int64
	pack       int64
	depth      int
	publishers int
	members    int
	times      bool
	checksums  bool
	evictAfter time.Duration
	named      int
	persist    bool
	asItIs     bool
	replace    bool

	wait  int
	rate  float64
	batch int
}

func newPubCommand(a *app) *cobra.Command {
	var o pubOptions
	c := &cobra.Command{
		Use:   "pub TOPIC",
		Short: "Publish standard input to a topic",
		Long: `pub publishes standard input to a topic. If the topic does not exist, pub creates it.
Each line is a message, without its line end. With --record each record of that size is
a message. With --y4m each picture of a YUV4MPEG2 stream, as ffmpeg writes it, is a
message: a frame. At the end of the input pub ends its stream, and then samepage sub
ends, too. Ctrl-C also ends the stream. After a failure, such as an input that ends
within a picture or a record, the stream is not ended: samepage sub then ends with exit
code 8, as if pub had died.

pub begins when there is a reliable subscriber (see --wait), so that nothing is lost if
samepage sub is started later. Then it waits for reliable subscribers that are slow:
they miss nothing. The topic lives only while it is used. With --persist the topic and
its history stay for later subscribers, until samepage rm --kind topic removes them, and
pub waits for no subscriber unless --wait is given.

--size, --pack, --depth, --publishers, --members, --times, --checksums, --evict-after and
--named-readers are for a new topic. If the topic exists with other options, pub fails and says which
differ. With --as-it-is it uses the topic, and fails only if its messages are too small.
With --replace it retires the topic, if that has no publisher: its subscribers are told
to close it (samepage sub --follow goes on with the new one), pub waits until they have,
and makes a new topic. A new topic has room for lines of up to ` + formatSize(lineSize) + `, unless --size or
a smaller --pack is given.

--y4m reads every pixel format that ffmpeg can write as YUV4MPEG2; with more than 8 bits ffmpeg
wants -strict -1. Frames keep range, rate, aspect and interlacing. The stream does not
say the matrix of the colours: without --matrix it is BT.601 for viewers, as for ffmpeg.

--images publishes the picture files of a directory in the order of their names
(` + picture.ReadableKinds + `), the first page of each. Gray pictures are
frames of gray, others of RGB, and with alpha of RGBA. The orientation that EXIF gives to
a JPEG is applied.

--pack is for very many small messages: lines or records that have been read already are
published together in packs, which is faster. Subscribers get the same messages. The
history has --depth packs, and each pack takes the memory of a full one.

At the end pub writes to standard error how much it published; with --json to standard
output.`,
		Example: `  tail -f log | samepage pub log
  samepage pub samples --record 4KiB --times <samples.bin
  samepage pub ticks --record 64 --pack 4KiB <ticks.bin
  date | samepage pub started --persist
  ffmpeg -i film.mkv -pix_fmt yuv420p -f yuv4mpegpipe - | samepage pub cam --y4m
  ffmpeg -i hd.mkv -pix_fmt yuv422p10 -strict -1 -f yuv4mpegpipe - | samepage pub cam --y4m --matrix bt709
  samepage pub cam --images frames --fps 25`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindTopic),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			if o.persist && !c.Flags().Changed("wait") {
				o.wait = 0
			}
			if o.pack > 0 && o.rate == 0 && !c.Flags().Changed("batch") {
				o.batch = packBatch
			}
			return runPub(c.Context(), a, o, args[0])
		},
	}
	f := c.Flags()
	o.addFlags(c)
	o.addRights(f)
	f.BoolVar(&o.lines, "lines", false, "each line is a message (the default)")
	f.Var(sizeFlag{&o.record, 1}, "record", "each message has this many bytes of the input")
	f.BoolVar(&o.y4m, "y4m", false, "each picture of a YUV4MPEG2 stream is a message: a frame, with its header")
	f.TextVar(&o.matrix, "matrix", frame.MatrixUnknown, "the `matrix` of the colours of a YUV4MPEG2 stream that does not say it: bt601, bt709 or bt2020")
	f.Lookup("matrix").DefValue = ""
	f.StringVar(&o.images, "images", "", "each picture file of this `directory` is a message: a frame")
	f.Var(fpsFlag{&o.fps}, "fps", "publish so many pictures of --images a second, such as 25 or 29.97 (default: at once)")
	addLimit(c, &o.limit)
	f.BoolVar(&o.partial, "partial", false, "the last record may be shorter")
	f.Var(sizeFlag{&o.size, 1}, "size", "size of the largest message of a new topic")
	f.Var(sizeFlag{&o.pack, 0}, "pack", "size of the packs of a new topic; 0: no packs")
	f.IntVar(&o.depth, "depth", 0, "history kept for late subscribers, in `messages`; a reliable subscriber may be at least this many behind; 0: as many as fit into 4 MiB, from 8 to 1024; for frames 8, or 3 if they have more than 1 MiB")
	f.IntVar(&o.publishers, "publishers", 0, "largest `number` of publishers at a time; 0: 1")
	f.IntVar(&o.members, "members", 0, "largest `number` of publishers and subscribers together; 0: 16")
	f.BoolVar(&o.times, "times", false, "each message has the time of its publication")
	f.BoolVar(&o.checksums, "checksums", false, "each message has a checksum, which subscribers check")
	f.DurationVar(&o.evictAfter, "evict-after", 0, "evict a subscriber that made a publisher wait this long; 0: never")
	f.IntVar(&o.named, "named-readers", 0, "largest `number` of names of subscribers that go on where they were, see samepage sub --reader")
	f.BoolVar(&o.persist, "persist", false, "the topic and its history stay until the topic is removed")
	f.BoolVar(&o.asItIs, "as-it-is", false, "use a topic that exists with other options")
	f.BoolVar(&o.replace, "replace", false, "retire a topic that exists with other options, and make a new one")
	f.IntVar(&o.wait, "wait", 1, "begin when there are at least this `number` of reliable subscribers")
	f.Float64Var(&o.rate, "rate", 0, "publish at most this `number` of messages a second; after a delay it catches up on at most 100 ms; 0: publish at once")
	o.addTimeout(c, noLimit)
	f.IntVar(&o.batch, "batch", 1, "publish up to this `number` of lines or records together, if they have been read already; with --pack "+strconv.Itoa(packBatch))
	return c
}

func (o *pubOptions) check(c *cobra.Command) error {
	forms := 0
	for _, f := range []string{"lines", "record", "y4m", "images"} {
		if c.Flags().Changed(f) {
			forms++
		}
	}
	switch {
	case forms > 1:
		return usage(c, "--lines, --record, --y4m and --images exclude each other")
	case c.Flags().Changed("matrix") && !o.y4m:
		return usage(c, "--matrix needs --y4m")
	case o.partial && o.record == 0:
		return usage(c, "--partial needs --record")
	case o.record > math.MaxUint32 || o.size > math.MaxUint32:
		return usage(c, "a message has at most %d bytes", uint32(math.MaxUint32))
	case o.size > 0 && o.record > o.size:
		return usage(c, "records of %d bytes do not fit into messages of %d", o.record, o.size)
	case o.wait < 0:
		return usage(c, "--wait %d is negative", o.wait)
	case !(o.rate >= 0) || math.IsInf(o.rate, 0):
		return usage(c, "--rate %v is not a rate: want 0 or more messages a second", o.rate)
	case o.pack > 0 && o.y4m:
		return usage(c, "--pack and --y4m exclude each other")
	case o.asItIs && o.replace:
		return usage(c, "--as-it-is and --replace exclude each other")
	case o.batch < 1:
		return usage(c, "--batch is %d, want at least 1", o.batch)
	case o.batch > 1 && (o.rate > 0 || o.y4m):
		return usage(c, "--batch excludes --rate and --y4m")
	}
	if err := o.checkImages(c); err != nil {
		return err
	}
	if _, err := o.topic(1).Size(); errors.Is(err, fs.ErrInvalid) { // before the input is read
		return err
	}
	return nil
}

// depthBytes is the default size of the history of lines or records. With so much the
// publisher and a subscriber rarely have to wait for each other.
const depthBytes = 4 << 20

// packBatch is the default of --batch with --pack.
const packBatch = 1024

// topic returns the options of a new topic for messages of up to size bytes.
func (o *pubOptions) topic(size int64) *pubsub.Options {
	depth := o.depth
	if depth == 0 && size > 0 && !o.y4m && o.images == "" { // frames are large, so fewer are kept
		depth = int(min(max(depthBytes/max(size, o.pack), 8), 1024))
	}
	t := o.asked()
	t.Scope, t.Owner, t.Perm, t.SecurityDescriptor = o.scope, o.owner, o.perm, o.sddl
	t.MaxSize, t.Depth = int(size), depth
	if o.persist {
		t.Lifetime = samepage.Persist
	}
	return t
}

// published tells what was published.
type published struct {
	Topic    string  `json:"topic"`
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	Seconds  float64 `json:"seconds"` // from the first look at the input to the end
	Rate     float64 `json:"rate"`    // messages a second
	Evicted  int     `json:"evicted"` // subscribers that were evicted
}

func (r published) text(w io.Writer) error {
	tail := ""
	if r.Evicted > 0 {
		tail = ", " + count(r.Evicted, "subscriber") + " evicted"
	}
	_, err := fmt.Fprintf(w, "published to %s: %s%s\n", plain(r.Topic), traffic(r.Messages, r.Bytes, r.Seconds), tail)
	return err
}

// traffic is "1000 messages, 4 MiB in 2.1s, 476/s, 1.9 MiB/s".
func traffic(messages, bytes uint64, seconds float64) string {
	s := fmt.Sprintf("%s, %s", count64(messages, "message"), formatSize(int64(bytes)))
	if messages > 1 && seconds > 0.01 { // else a rate has no meaning
		d := time.Duration(seconds * float64(time.Second))
		s += fmt.Sprintf(" in %v, %s, %s/s", roundDuration(d), formatRate(float64(messages)/seconds), formatSize(int64(float64(bytes)/seconds)))
	}
	return s
}

func runPub(ctx context.Context, a *app, o pubOptions, name string) (err error) {
	in := newFeed(ctx, a.stdin)
	var y *frame.Y4MReader
	least := o.record
	if o.y4m {
		if y, err = frame.NewY4MReader(in); err != nil {
			return inputError(err)
		}
		spec := y.Spec()
		least = spec.Size()
		if o.size > 0 && least > o.size {
			return fmt.Errorf("frames of %d x %d pixels have %d bytes, --size is %d: %w", spec.Width, spec.Height, least, o.size, samepage.ErrTooLarge)
		}
	}
	var files []string
	if o.images != "" {
		if files, err = imageFiles(o.images); err == nil {
			least, err = largestImage(files, o.limit)
		}
		if err != nil {
			return err
		}
	}
	p, existed, err := o.open(ctx, name, least)
	if err != nil {
		return err
	}
	defer func() {
		// A user who interrupts pub knows that there may be more input. After any other error
		// subscribers must learn that the stream is not complete.
		end := p.Close
		if err != nil && !errors.Is(err, context.Canceled) {
			end = p.Abort
		}
		err = errors.Join(err, end())
	}()
	if err := o.checkPersists(p); err != nil {
		return err
	}
	if existed {
		o.tellUnused(a.notes(), name, o.unused(p.Options())...)
	}
	if err := o.waitSubscribers(ctx, a, p); err != nil {
		return err
	}
	u := &publishing{ctx: ctx, o: &o, p: p, begun: time.Now(), progress: newProgress(a.notes(), -1)}
	switch {
	case y != nil:
		err = u.frames(y)
	case files != nil:
		err = u.images(files)
	default:
		var s source
		if o.record > 0 {
			s = newRecordSource(in, int(o.record), o.partial)
		} else {
			s = newLineSource(in, p.Options().MaxSize)
		}
		err = u.messages(s)
	}
	u.progress.done()
	return errors.Join(err, u.tell(a))
}

// open opens or makes the topic, for messages of least bytes or more; 0: lines.
func (o *pubOptions) open(ctx context.Context, name string, least int64) (p *pubsub.Publisher, existed bool, err error) {
	size, pack := max(o.size, least), o.pack
	if size == 0 {
		size = lineSize
		if pack > 0 {
			size = max(min(size, pack&^7), 1)
		}
		// A topic that exists has messages of some size, which is good enough.
		if st, err := pubsub.Inspect(name, &samepage.InspectOptions{Scope: o.scope, Owner: o.owner}); err == nil {
			size, pack = int64(st.Options.MaxSize), int64(st.Options.Pack)
		}
	}
	opts := o.topic(size)
	opts.Pack = int(pack)
	opts.AsItIs = true // the defaults of pub say nothing about a topic that exists
	p, existed, err = pubsub.OpenOrCreatePublisher(name, opts)
	if err == nil && existed && !o.asItIs {
		if err = o.asked().Differs(p.Options()); err != nil {
			err = errors.Join(fmt.Errorf("publish to topic %q: %w (see --as-it-is and --replace)", name, err), p.Close())
		}
	}
	if o.replace && (errors.Is(err, samepage.ErrDiffers) || errors.Is(err, samepage.ErrRetired) || errors.Is(err, samepage.ErrKindMismatch)) {
		opts.AsItIs = false
		ctx, cancel := o.within(ctx)
		defer cancel()
		p, err = pubsub.ReplacePublisher(ctx, name, opts)
		return p, false, err
	}
	if err != nil {
		return nil, false, err
	}
	return p, existed, nil
}

// asked returns the options of a topic that flags say.
func (o *pubOptions) asked() *pubsub.Options {
	return &pubsub.Options{
		MaxSize: int(o.size), Pack: int(o.pack), Depth: o.depth, Publishers: o.publishers, Members: o.members,
		EvictAfter: o.evictAfter, Checksums: o.checksums, Times: o.times, NamedReaders: o.named,
	}
}

// unused lists the flags that had no effect, since the topic exists with other options.
func (o *pubOptions) unused(has pubsub.Options) (all []string) {
	add := func(flag string, differs bool, has any) {
		if differs {
			all = append(all, fmt.Sprintf("%s (it has %v)", flag, has))
		}
	}
	add("--size", o.size != 0 && o.size != int64(has.MaxSize), has.MaxSize)
	add("--pack", o.pack != 0 && o.pack != int64(has.Pack), has.Pack)
	add("--depth", o.depth != 0 && o.depth != has.Depth, has.Depth)
	add("--publishers", o.publishers != 0 && o.publishers != has.Publishers, has.Publishers)
	add("--members", o.members != 0 && o.members != has.Members, has.Members)
	add("--times", o.times && !has.Times, "none")
	add("--checksums", o.checksums && !has.Checksums, "none")
	add("--named-readers", o.named != 0 && o.named != has.NamedReaders, has.NamedReaders)
	add("--evict-after", o.evictAfter != 0 && o.evictAfter != has.EvictAfter, has.EvictAfter)
	return all
}

// checkPersists refuses --persist for a topic that exists and lives only while it is used: its
// messages would not stay.
func (o *pubOptions) checkPersists(p *pubsub.Publisher) error {
	if !o.persist {
		return nil
	}
	i, err := samepage.Stat(p.Name(), o.options(samepage.KindTopic))
	if err == nil && i.Lifetime != samepage.Persist {
		err = fmt.Errorf("publish to %q: the topic exists and lives only while it is used, so --persist cannot keep it: %w", p.Name(), fs.ErrExist)
	}
	return err
}

func (o *pubOptions) waitSubscribers(ctx context.Context, a *app, p *pubsub.Publisher) error {
	n := o.wait - p.ReliableSubscribers()
	if n <= 0 {
		return nil
	}
	far := ""
	if o.scope == samepage.Global {
		far = " --scope global"
	}
	fmt.Fprintf(a.notes(), "samepage: waiting for %s: samepage sub %s%s (--wait 0 does not wait)\n", count(n, "reliable subscriber"), plain(p.Name()), far)
	ctx, cancel := o.within(ctx)
	defer cancel()
	return p.WaitReliableSubscribers(ctx, o.wait)
}

// inputError returns err as an error of the input.
func inputError(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case err == io.EOF:
		return errors.New("the input is empty")
	}
	return fmt.Errorf("standard input: %w", err)
}

// publishing is a run of pub.
type publishing struct {
	ctx      context.Context
	o        *pubOptions
	p        *pubsub.Publisher
	begun    time.Time
	progress *progress

	messagesN, bytes uint64
	pacer            pacer // with --rate

	arena []byte // the messages of a batch, one after the other
	ends  []int  // the end of each message in arena
	all   [][]byte
}

// tell tells what was published.
func (u *publishing) tell(a *app) error {
	r := published{u.p.Name(), u.messagesN, u.bytes, time.Since(u.begun).Seconds(), 0, u.p.Evicted()}
	if r.Seconds > 0 { // a clock can be too coarse for a few messages
		r.Rate = float64(r.Messages) / r.Seconds
	}
	return a.summary(r)
}

func (u *publishing) count(messages int, bytes int) {
	u.messagesN += uint64(messages)
	u.bytes += uint64(bytes)
	u.progress.at(int64(u.bytes))
}

// pace waits until the next message is due.
func (u *publishing) pace() error {
	if u.o.rate == 0 {
		return nil
	}
	wait := u.pacer.next(time.Now(), u.o.rate)
	if wait <= 0 {
		return u.ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-u.ctx.Done():
		return u.ctx.Err()
	}
}

func (u *publishing) messages(s source) error {
	for {
		b, err := s.next()
		if err != nil {
			err = u.behind(err)
			return errors.Join(u.flush(), err)
		}
		if u.o.batch > 1 {
			u.arena = append(u.arena, b...)
			u.ends = append(u.ends, len(u.arena))
			if len(u.ends) >= u.o.batch || !s.more() {
				if err := u.flush(); err != nil {
					return err
				}
			}
			continue
		}
		if err := u.pace(); err != nil {
			return err
		}
		ctx, cancel := u.o.within(u.ctx)
		err = u.p.Send(ctx, b)
		cancel()
		if err != nil {
			return err
		}
		u.count(1, len(b))
	}
}

// publish publishes a frame.
func (u *publishing) publish(l pubsub.Loan) error {
	ctx, cancel := u.o.within(u.ctx)
	defer cancel()
	return l.Publish(ctx)
}

// behind returns the error that ended the input, and nil for its end.
func (u *publishing) behind(err error) error {
	if err == io.EOF {
		return nil
	}
	return inputError(err)
}

// flush publishes a batch.
func (u *publishing) flush() error {
	if len(u.ends) == 0 {
		return nil
	}
	u.all = u.all[:0]
	from := 0
	for _, to := range u.ends {
		u.all = append(u.all, u.arena[from:to])
		from = to
	}
	ctx, cancel := u.o.within(u.ctx)
	n, err := u.p.SendAll(ctx, u.all)
	cancel()
	if n > 0 {
		u.count(n, u.ends[n-1])
	}
	u.arena, u.ends = u.arena[:0], u.ends[:0]
	return err
}

// frames publishes pictures. It reads them directly into the shared memory.
func (u *publishing) frames(y *frame.Y4MReader) error {
	spec := y.Spec()
	if spec.Matrix == frame.MatrixUnknown {
		spec.Matrix = u.o.matrix
	}
	size := int(spec.Size())
	var f frame.Frame
	for {
		l, err := u.p.Loan(size)
		if err != nil {
			return err
		}
		spec.Seq = u.p.Next()
		if err := f.Reset(l.Bytes(), spec); err != nil {
			l.Discard()
			return err
		}
		if err := y.ReadFrame(&f); err != nil {
			l.Discard()
			if err != io.EOF {
				err = fmt.Errorf("picture %d: %w", u.messagesN+1, err)
			}
			return u.behind(err)
		}
		err = u.pace()
		if err == nil {
			err = u.publish(l)
		}
		if err != nil {
			l.Discard()
			return err
		}
		u.count(1, size)
	}
}
