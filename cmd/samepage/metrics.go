package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
	"samepage/inspect/web"
)

type metricsOptions struct {
	object
	output, listen string
	anyone         bool
	labels         map[string]string
}

func newMetricsCommand(a *app) *cobra.Command {
	var o metricsOptions
	c := &cobra.Command{
		Use:   "metrics [NAME|PATTERN...]",
		Short: "Write metrics of the objects for Prometheus",
		Long: `metrics writes what is known about the objects of both scopes as metrics for
Prometheus. docs/observe.md lists them. It joins no object, and no process notices it.

With --output it writes a file instead of its standard output, completely or not at all:
for the textfile collector of node_exporter, which reads FILE.prom. With --listen it
answers HTTP requests for /metrics, until Ctrl-C. Whoever can reach the address sees the
names of all objects, so it must be a loopback address, unless --unsafe-open is given.

With arguments it tells only of objects that have one of these names, or whose names
match one of these patterns, as in samepage ls.`,
		Example: `  samepage metrics
  samepage metrics -o /var/lib/node_exporter/samepage.prom --labels user="$USER"
  samepage metrics --listen 127.0.0.1:7071`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeNames(true, samepage.Kinds()...),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case a.json:
				return usage(c, "metrics are text; samepage top --once --json tells the same in JSON")
			case o.output != "" && o.listen != "":
				return usage(c, "--output and --listen exclude each other")
			case o.listen != "" && !o.anyone:
				if err := onlyLoopback(o.listen); err != nil {
					return usage(c, "--listen %q: %w", o.listen, err)
				}
			}
			return runMetrics(c.Context(), a, o, args)
		},
	}
	o.addKind(c)
	f := c.Flags()
	f.Lookup("kind").Usage = "tell only of objects of this kind"
	f.StringVarP(&o.output, "output", "o", "", "write this `file`")
	f.StringVar(&o.listen, "listen", "", "answer HTTP requests at this `address`, such as 127.0.0.1:7071; port 0: the system chooses it")
	f.BoolVar(&o.anyone, "unsafe-open", false, "allow an address that other machines can reach")
	f.StringToStringVar(&o.labels, "labels", nil, "add labels to each line, as `name=value,...`")
	return c
}

// onlyLoopback refuses an address that other machines can reach.
func onlyLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err == nil && !loopback(host) {
		err = errors.New("other machines can reach this address; want 127.0.0.1, [::1] or localhost, or --unsafe-open")
	}
	return err
}

// loopback says whether a host is this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func runMetrics(ctx context.Context, a *app, o metricsOptions, names []string) error {
	match := func(i *samepage.Info) bool { return o.wants(*i, names) }
	opts := inspect.MetricsOptions{Labels: o.labels}
	if o.listen != "" {
		// Wrong labels are found before anybody asks.
		if err := (&inspect.State{}).WriteMetrics(new(bytes.Buffer), &opts); err != nil {
			return err
		}
		w := &web.Options{Match: match, Labels: o.labels}
		if o.anyone {
			w.Hosts = []string{web.AnyHost}
		}
		return serveMetrics(ctx, a, o.listen, web.Metrics(w))
	}
	var b bytes.Buffer
	s, err := inspect.Snapshot(&inspect.Options{Match: match})
	if err == nil {
		err = s.WriteMetrics(&b, &opts)
	}
	if err != nil {
		return err
	}
	if o.output != "" {
		return noFile(replaceFile(o.output, b.Bytes()))
	}
	_, err = a.stdout.Write(b.Bytes())
	return err
}

// serveMetrics serves h at /metrics until ctx ends.
func serveMetrics(ctx context.Context, a *app, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	fmt.Fprintf(a.notes(), "samepage: metrics at http://%s/metrics\n", l.Addr())
	return a.serve(ctx, l, mux)
}
