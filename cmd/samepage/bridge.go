package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/bridge"
)

type bridgeOptions struct {
	object
	waiting
	link    bridge.Link
	names   bridge.Names
	renames []string
	space   string
	policy  policyFlag
	window  int64
	budget  float64
	silence time.Duration
	limit   int64
	zstd    bool
	jpeg    int
	metrics string
	anyone  bool
	keep    int64
	host    string
	every   time.Duration
}

func newBridgeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "bridge",
		Short: "Carry topics, cells and services between machines, over NATS",
		Long: `bridge carries topics to other machines. bridge publish sends topics of this machine,
and bridge subscribe makes them on another one. Nothing crosses that neither of them
names. Both connect to a NATS server: an existing one (--nats URL), or one that a bridge
itself runs (--serve ADDRESS). An address that other machines can reach needs
certificates (--ca, --cert, --key), or --unsafe-open in a network that you trust.

A message keeps its number and its time. What is lost on the way is counted, and the
subscribers there miss it, as they miss messages of a local publisher. The end of a
stream and the death of a publisher arrive, too.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBridgePublishCommand(a), newBridgeSubscribeCommand(a))
	return c
}

func newBridgePublishCommand(a *app) *cobra.Command {
	o := bridgeOptions{policy: policyFlag(bridge.Newest)}
	c := &cobra.Command{
		Use:   "publish [TOPIC...]",
		Short: "Send topics of this machine to bridges on other machines",
		Long: `bridge publish sends the messages of topics of this machine. A TOPIC is a name or a
pattern, in which * stands for any characters. Topics that appear later are sent, too.

--policy says what happens if the network is slower than the publisher of a topic:
  newest  the publisher is never slowed; what does not get through is lost, and counted
  wait    the publisher waits until each bridge that subscribes has its messages
  stored  the server stores the messages, and bridges that come later get them; the
          publisher waits until they are stored

With --jpeg frames cross as JPEG. This is lossy: the frames on the other side have the
same size and format, and pixels that are only nearly the same. Frames with alpha or
with more than 8 bits a sample cross without loss, and bridge says so.

What a bridge has published here is not sent on.`,
		Example: `  samepage bridge publish cam 'sensor.*' --serve :4222 --unsafe-open
  samepage bridge publish 'cam*' --nats nats://hub:4222 --jpeg 80
  samepage bridge publish log --nats nats://hub:4222 --policy wait --prefix robot1.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeNames(true, samepage.KindTopic),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c, a, args, (*bridge.Bridge).Publish)
		},
	}
	o.addFlags(c)
	f := c.Flags()
	f.Var(&o.policy, "policy", "newest, wait or stored: what happens if the network is slower than the publisher")
	completeChoices(c, "policy", string(bridge.Newest), string(bridge.Wait), string(bridge.Stored))
	f.BoolVar(&o.zstd, "zstd", false, "compress what is sent, without loss")
	f.IntVar(&o.jpeg, "jpeg", 0, "send frames as JPEG of this `quality`, 1 to 100: the pixels are only nearly the same")
	f.Var(sizeFlag{&o.keep, 0}, "keep", "with --policy stored: bytes that the server keeps of a topic; 0: all")
	f.Var(sizeFlag{&o.window, 1}, "window", "bytes that are on their way at a time (default 8M with --policy wait, 4M with newest)")
	f.Float64Var(&o.budget, "budget", bridge.DefaultBudget, "with --policy newest, and for cells: how many `percent` of the time of a publisher the bridge may cost, 0.1 to 100")
	return c
}

func newBridgeSubscribeCommand(a *app) *cobra.Command {
	var o bridgeOptions
	c := &cobra.Command{
		Use:   "subscribe [TOPIC...]",
		Short: "Make topics of other machines on this machine",
		Long: `bridge subscribe makes topics on this machine, and publishes the messages that bridges
on other machines send. A TOPIC is a name or a pattern of their names, after their
--prefix and --rename. The topics here have the options and the Go type of their
origin. If a topic of that name exists with another type, it is refused.`,
		Example: `  samepage bridge subscribe cam --nats nats://robot:4222
  samepage bridge subscribe '*' --nats nats://hub:4222 --prefix far.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c, a, args, (*bridge.Bridge).Subscribe)
		},
	}
	o.addFlags(c)
	o.limit = 4 << 30
	c.Flags().Var(sizeFlag{&o.limit, 1}, "limit", "refuse topics that take more memory")
	return c
}

func (o *bridgeOptions) addFlags(c *cobra.Command) {
	o.object.addFlags(c)
	o.addTimeout(c, noLimit)
	f := c.Flags()
	f.StringVar(&o.link.URL, "nats", "", "`URL` of the NATS server, or several with commas between them")
	f.StringVar(&o.link.Serve, "serve", "", "be the NATS server, at this `address`, such as :4222; port 0: any")
	f.StringVar(&o.link.StoreDir, "store-dir", "", "with --serve: keep the messages of --policy stored in this `directory`")
	f.StringVar(&o.link.Creds, "creds", "", "`file` with credentials for the server")
	f.StringVar(&o.link.CA, "ca", "", "`file` with the certificates that sign those of the other side")
	f.StringVar(&o.link.Cert, "cert", "", "`file` with the certificate of this side")
	f.StringVar(&o.link.Key, "key", "", "`file` with the key of --cert")
	f.StringVar(&o.space, "space", "samepage", "first `word` of all subjects; bridges with different words do not see each other")
	f.StringVar(&o.names.Prefix, "prefix", "", "`text` in front of each name on the other side of the bridge")
	f.StringArrayVar(&o.names.Cells, "cell", nil, "carry this cell, or the cells that match a `pattern`, as latest values; may be repeated")
	f.StringArrayVar(&o.names.Services, "service", nil, "carry the calls of this `service`; may be repeated")
	f.StringArrayVar(&o.renames, "rename", nil, "`NAME=OTHER`: the name on the other side of the bridge; may be repeated")
	f.StringVar(&o.host, "host", "", "`name` of this machine; with it bridge subscribe goes on with what is stored (default: the host name)")
	f.DurationVar(&o.silence, "silence", 10*time.Second, "take a bridge that was not heard this long for dead")
	f.StringVar(&o.metrics, "metrics", "", "tell Prometheus the counts at this `address`, such as 127.0.0.1:7072")
	f.BoolVar(&o.anyone, "unsafe-open", false, "allow addresses of --serve and --metrics that other machines can reach, for everybody; --serve with --ca, --cert and --key is for those with a certificate")
	f.DurationVar(&o.every, "every", 0, "print the counts of all topics this often; 0: only at the end")
}

func (o *bridgeOptions) check(c *cobra.Command, args []string) error {
	o.names.Patterns = args
	o.names.Renames = map[string]string{}
	for _, r := range o.renames {
		from, to, ok := strings.Cut(r, "=")
		if !ok || from == "" || to == "" {
			return usage(c, "--rename %q is not NAME=OTHER", r)
		}
		if was, ok := o.names.Renames[from]; ok {
			return usage(c, "--rename gives %q two names, %q and %q", from, was, to)
		}
		o.names.Renames[from] = to
	}
	switch {
	case len(args)+len(o.names.Cells)+len(o.names.Services) == 0:
		return usage(c, "a TOPIC, --cell or --service is missing")
	case (o.link.URL == "") == (o.link.Serve == ""):
		return usage(c, "--nats URL or --serve ADDRESS is needed, and not both")
	case (o.link.Cert == "") != (o.link.Key == ""):
		return usage(c, "--cert and --key need each other")
	case o.link.Serve == "" && o.link.StoreDir != "":
		return usage(c, "--store-dir needs --serve")
	case o.space == "" || strings.ContainsAny(o.space, " \t.*>"):
		return usage(c, "--space %q is not a word: it has no spaces, and none of . * >", o.space)
	case c.Flags().Changed("jpeg") && (o.jpeg < 1 || o.jpeg > 100):
		return usage(c, "--jpeg is %d, want 1 to 100", o.jpeg)
	case c.Flags().Changed("budget") && !(o.budget >= 0.1 && o.budget <= 100):
		return usage(c, "--budget is %v, want 0.1 to 100", o.budget)
	case o.silence < time.Second:
		return usage(c, "--silence %v is less than 1s", o.silence)
	case o.every < 0:
		return usage(c, "--every %v is negative", o.every)
	}
	for _, l := range []struct{ flag, address string }{{"metrics", o.metrics}, {"serve", o.link.Serve}} {
		guarded := l.flag == "serve" && o.link.CA != "" && o.link.Cert != ""
		if l.address == "" || o.anyone || guarded {
			continue
		}
		if err := onlyLoopback(l.address); err != nil {
			if l.flag == "serve" {
				err = fmt.Errorf("%w, or --ca, --cert and --key: then only those with a certificate of --ca can connect", err)
			}
			return usage(c, "--%s %q: %w", l.flag, l.address, err)
		}
	}
	if err := o.names.Check(); err != nil {
		return usage(c, "%w", err)
	}
	return nil
}

// run is the work of both commands.
func (o *bridgeOptions) run(c *cobra.Command, a *app, args []string, way func(*bridge.Bridge, context.Context) error) error {
	if err := o.check(c, args); err != nil {
		return err
	}
	if o.host == "" {
		o.host, _ = os.Hostname()
	}
	if o.window == 0 {
		o.window = 8 << 20
		if bridge.Policy(o.policy) == bridge.Newest {
			o.window = 4 << 20 // on a slow line they become old
		}
	}
	ctx := c.Context()
	t := &teller{a: a}
	o.link.Tell = t.tell
	first, cancel := o.within(ctx)
	nc, stop, err := o.link.Dial(first)
	cancel()
	if err != nil {
		return err
	}
	defer stop()
	b, err := bridge.New(&bridge.Options{
		Names: o.names, Conn: nc, Space: o.space, Scope: o.scope, Owner: o.owner, Policy: bridge.Policy(o.policy), Window: int(o.window), Budget: o.budget,
		Tick: time.Second, Silence: o.silence, Limit: o.limit, Keep: o.keep, Zstd: o.zstd, JPEG: o.jpeg, Host: o.host, Tell: t.tell,
	})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	if o.every > 0 {
		go func() {
			defer close(done)
			t.counts(ctx, o.every, b)
		}()
	} else {
		close(done)
	}
	if o.metrics != "" {
		go func() {
			if err := serveMetrics(ctx, a, o.metrics, bridgeMetrics{b, c.Name(), o.anyone}); ctx.Err() == nil {
				t.tell(bridge.Event{What: "failed", Text: err.Error()})
			}
		}()
	}
	err = way(b, ctx)
	if errors.Is(err, context.Canceled) { // this is how a bridge ends
		err = nil
	}
	<-done
	return errors.Join(err, a.summary(bridgeCounts{b.Counts()}))
}

// teller prints what happens: in JSON as the output, and else as notes.
type teller struct {
	a  *app
	mu sync.Mutex
}

func (t *teller) tell(e bridge.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.a.json {
		// A writer that fails has nobody who reads; the bridge goes on.
		_ = json.NewEncoder(visibleJSON{t.a.stdout}).Encode(e)
		return
	}
	s := e.What
	if e.Lost > 0 {
		s += " " + count64(e.Lost, "message")
	}
	if e.Topic != "" {
		s = plain(e.Topic) + ": " + s
	}
	fmt.Fprintf(visibleWriter{t.a.notes()}, "samepage: %s: %s\n", s, e.Text)
}

// counts prints the counts from time to time.
func (t *teller) counts(ctx context.Context, every time.Duration, b *bridge.Bridge) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		_ = t.a.summary(bridgeCounts{b.Counts()})
		t.mu.Unlock()
	}
}

// bridgeCounts are the counts of a bridge.
type bridgeCounts struct {
	Topics []bridge.Counts `json:"topics"`
}

func (r bridgeCounts) MarshalJSON() ([]byte, error) {
	list, err := marshalList(r.Topics)
	return slices.Concat([]byte(`{"topics":`), list, []byte{'}'}), err
}

func (r bridgeCounts) text(w io.Writer) error {
	for _, c := range r.Topics {
		s := fmt.Sprintf("%s, %s, %d lost", count64(c.Messages, "message"), formatSize(int64(c.Bytes)), c.Lost)
		if c.Duplicates > 0 {
			s += fmt.Sprintf(", %s dropped", count64(c.Duplicates, "duplicate"))
		}
		if c.Resent > 0 {
			s += fmt.Sprintf(", %d sent again", c.Resent)
		}
		if _, err := fmt.Fprintf(w, "bridged %s: %s\n", plain(c.Topic), s); err != nil {
			return err
		}
	}
	return nil
}

// policyFlag is a bridge.Policy.
type policyFlag bridge.Policy

func (p *policyFlag) String() string { return string(*p) }
func (*policyFlag) Type() string     { return "newest|wait|stored" }

func (p *policyFlag) Set(s string) error {
	all := []bridge.Policy{bridge.Newest, bridge.Wait, bridge.Stored}
	if !slices.Contains(all, bridge.Policy(s)) {
		return fmt.Errorf("want one of %v", all)
	}
	*p = policyFlag(s)
	return nil
}

// bridgeMetrics answers requests for the counts of a bridge, in the text format of Prometheus.
type bridgeMetrics struct {
	b      *bridge.Bridge
	way    string
	anyone bool // requests may name any host; else only this machine, so that no page in a browser can ask
}

func (m bridgeMetrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if !m.anyone && !loopback(strings.Trim(host, "[]")) {
		http.Error(w, "the request names another host than this machine", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	all := m.b.Counts()
	for _, x := range []struct {
		name, help string
		of         func(*bridge.Counts) uint64
	}{
		{"messages", "Messages that a bridge has sent, or published here.", func(c *bridge.Counts) uint64 { return c.Messages }},
		{"bytes", "Bytes of these messages.", func(c *bridge.Counts) uint64 { return c.Bytes }},
		{"lost", "Messages that were lost on the way.", func(c *bridge.Counts) uint64 { return c.Lost }},
		{"duplicates", "Messages that came again and were dropped.", func(c *bridge.Counts) uint64 { return c.Duplicates }},
		{"envelopes", "Messages of NATS that were sent or received.", func(c *bridge.Counts) uint64 { return c.Envelopes }},
		{"resent", "Envelopes that were sent again.", func(c *bridge.Counts) uint64 { return c.Resent }},
	} {
		name := "samepage_bridge_" + x.name + "_total"
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n", name, x.help, name)
		for i := range all {
			c := &all[i]
			fmt.Fprintf(w, "%s{way=%q,name=\"%s\",far=\"%s\"} %d\n", name, m.way, labelText(c.Topic), labelText(c.Far), x.of(c))
		}
	}
}

// labelText is the value of a label, as Prometheus wants it.
func labelText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "?"))
}
