package inspect

import (
	"bufio"
	"io"
	"maps"
	"math"
	"mime"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"samepage/internal/option"
)

// MetricsFormat is a text format for metrics.
type MetricsFormat int

const (
	PrometheusText MetricsFormat = iota // the text format of Prometheus, version 0.0.4
	OpenMetrics                         // OpenMetrics, version 1.0.0
)

// AcceptedMetrics is the format to answer an HTTP request with. accept is its header Accept.
func AcceptedMetrics(accept string) MetricsFormat {
	best, weight := PrometheusText, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, err := strconv.ParseFloat(params["q"], 64); err == nil {
			q = v
		}
		f := PrometheusText
		switch v := params["version"]; {
		case media == "application/openmetrics-text" && (v == "" || v == "1.0.0" || v == "0.0.1"):
			f = OpenMetrics
		case media != "text/plain" || v != "" && v != "0.0.4":
			continue
		}
		if q > weight {
			best, weight = f, q
		}
	}
	return best
}

// ContentType is the header Content-Type of an HTTP answer in this format.
func (f MetricsFormat) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// MetricsOptions say how WriteMetrics writes. nil means the zero value.
type MetricsOptions struct {
	Format MetricsFormat
	// Labels are added to each line, by their names. They are needed where the metrics of several
	// users, who may have objects of one name, come together.
	Labels map[string]string
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (o *MetricsOptions) check() error {
	if err := option.OneOf("Format", o.Format, PrometheusText, OpenMetrics); err != nil {
		return err
	}
	taken := slices.Clone(objectLabels)
	for _, m := range metrics {
		taken = append(taken, m.labels...)
	}
	slices.Sort(taken)
	taken = slices.Compact(taken)
	for _, name := range slices.Sorted(maps.Keys(o.Labels)) {
		if !labelName.MatchString(name) || strings.HasPrefix(name, "__") {
			return option.Bad("Labels", strconv.Quote(name), "names of letters, digits and _, which begin neither with a digit nor with __")
		}
		if slices.Contains(taken, name) {
			return option.Bad("Labels", name, "names that the metrics do not use themselves, which are "+strings.Join(taken, ", "))
		}
	}
	return nil
}

// WriteMetrics writes the state as metrics for Prometheus. docs/observe.md lists them. Each object
// is told by its kind, its scope and its name. Characters that cannot be seen, of names that others
// have chosen, are written as escapes of Go, such as \x1b.
//
// Errors: fs.ErrInvalid (an option), and those of w.
func (s *State) WriteMetrics(w io.Writer, opts *MetricsOptions) error {
	if opts == nil {
		opts = &MetricsOptions{}
	}
	if err := opts.check(); err != nil {
		return err
	}
	t := metricsText{Writer: bufio.NewWriter(w), format: opts.Format}
	for _, name := range slices.Sorted(maps.Keys(opts.Labels)) {
		t.labels = appendLabel(t.labels, name, opts.Labels[name])
	}
	objects, labels := s.distinct(t.labels)
	for i := range metrics {
		m := &metrics[i]
		t.begin(m)
		if m.state != nil {
			m.state(s, func(v float64, values ...string) { t.sample(m, t.labels, v, values) })
			continue
		}
		for k, o := range objects {
			m.object(s, o, func(v float64, values ...string) { t.sample(m, labels[k], v, values) })
		}
	}
	if t.format == OpenMetrics {
		_, _ = t.WriteString("# EOF\n") // Flush returns the error
	}
	return t.Flush()
}

// distinct are the objects, with the labels of each. Of objects with the same labels only the first
// is there: a text that has two would be refused as a whole. Others can make such objects, for
// example by damaging the record that has the name.
func (s *State) distinct(more []byte) (objects []*Object, labels [][]byte) {
	seen := map[string]bool{}
	for i := range s.Objects {
		o := &s.Objects[i]
		b := slices.Clone(more)
		for k, v := range []string{o.Kind.String(), o.Scope.String(), o.Name} {
			b = appendLabel(b, objectLabels[k], v)
		}
		if !seen[string(b)] {
			seen[string(b)] = true
			objects, labels = append(objects, o), append(labels, b)
		}
	}
	return objects, labels
}

// metricsText writes lines. Its errors are those of Flush.
type metricsText struct {
	*bufio.Writer
	format MetricsFormat
	labels []byte // of each line
	line   []byte // is used again
}

// begin writes what stands before the samples of a metric.
func (t *metricsText) begin(m *metric) {
	family, typ := m.name, m.typ
	if t.format == OpenMetrics {
		family = strings.TrimSuffix(strings.TrimSuffix(family, "_total"), "_info")
	} else if typ == info {
		typ = gauge
	}
	b := append(t.line[:0], "# HELP "+family+" "+m.help+"\n# TYPE "+family+" "+typ+"\n"...)
	if unit := m.unit(); unit != "" && t.format == OpenMetrics {
		b = append(b, "# UNIT "+family+" "+unit+"\n"...)
	}
	_, _ = t.Write(b)
	t.line = b
}

// sample writes a line.
func (t *metricsText) sample(m *metric, labels []byte, v float64, values []string) {
	b := append(t.line[:0], m.name...)
	b = append(b, '{')
	begin := len(b)
	b = append(b, labels...)
	for i, value := range values {
		b = appendLabel(b, m.labels[i], value)
	}
	if len(b) == begin {
		b = b[:begin-1]
	} else {
		b[len(b)-1] = '}' // instead of the last comma
	}
	b = append(b, ' ')
	if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
		b = strconv.AppendInt(b, int64(v), 10)
	} else {
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	_, _ = t.Write(append(b, '\n'))
	t.line = b
}

// appendLabel appends a label and a comma. The value may be any bytes.
func appendLabel(b []byte, name, value string) []byte {
	b = append(append(b, name...), `="`...)
	for i, r := range value {
		switch {
		case r == '\\' || r == '"':
			b = append(b, '\\', byte(r))
		case r == utf8.RuneError && !strings.HasPrefix(value[i:], string(utf8.RuneError)):
			b = append(b, `\\x`...)
			b = append(b, hexDigits[value[i]>>4], hexDigits[value[i]&15])
		case unicode.IsGraphic(r):
			b = utf8.AppendRune(b, r)
		default:
			q := strconv.QuoteRuneToGraphic(r)
			b = append(append(b, '\\'), q[1:len(q)-1]...)
		}
	}
	return append(b, `",`...)
}

const hexDigits = "0123456789abcdef"
