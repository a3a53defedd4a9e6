package inspect

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

const observe = "../docs/observe"

// docs/observe.md has a row for each metric, and no other.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile(observe + ".md")
	ipctest.NoErr(t, err)
	var want strings.Builder
	for _, m := range metrics {
		labels := slices.Clone(m.labels)
		if m.object != nil {
			labels = append([]string{"*object*"}, labels...)
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", m.name, m.typ, strings.Join(labels, ", "), m.help)
	}
	have := strings.Join(regexp.MustCompile("(?m)^\\| `samepage_.*\n").FindAllString(string(page), -1), "")
	if have != want.String() {
		t.Errorf("docs/observe.md has the rows\n%swant\n%s", have, &want)
	}
}

// promtool runs promtool. It skips the test if there is none.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("promtool is the system's own")
	}
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The alerts fire when they should, and name only metrics that exist.
func TestMetricsAlerts(t *testing.T) {
	for _, file := range []string{"alerts.yml", "alerts_test.yml"} {
		b, err := os.ReadFile(filepath.Join(observe, file))
		ipctest.NoErr(t, err)
		checkNames(t, string(b))
	}
	promtool(t, "check", "config", filepath.Join(observe, "prometheus.yml"))
	promtool(t, "test", "rules", filepath.Join(observe, "alerts_test.yml"))
}

// checkNames checks that a query, or a file, names only metrics that exist, and at least one.
func checkNames(t *testing.T, text string) {
	t.Helper()
	names := regexp.MustCompile(`\bsamepage_\w+`).FindAllString(text, -1)
	for _, name := range names {
		if !slices.ContainsFunc(metrics, func(m metric) bool { return m.name == name }) {
			t.Errorf("there is no metric %s: %s", name, text)
		}
	}
	if len(names) == 0 {
		t.Errorf("there is no metric in %s", text)
	}
}

// A dashboard of Grafana, as far as the test reads it.
type dashboard struct {
	Templating struct{ List []variable }
	Panels     []struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
}

type variable struct{ Name, Type, Definition string }

// The queries of the dashboard can be parsed. They and the legends name only metrics and labels
// that exist.
func TestMetricsDashboard(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(observe, "dashboard.json"))
	ipctest.NoErr(t, err)
	var d dashboard
	ipctest.NoErr(t, json.Unmarshal(b, &d))
	labels := append([]string{"instance"}, objectLabels...)
	for _, m := range metrics {
		labels = append(labels, m.labels...)
	}
	known := func(what string, names ...string) {
		for _, name := range names {
			if !slices.Contains(labels, name) {
				t.Errorf("%s: there is no label %q", what, name)
			}
		}
	}
	values := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	variables := []string{"$__rate_interval", "5m"}
	var queries []string
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := values.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Fatalf("variable %s: %q is no label_values(METRIC, LABEL)", v.Name, v.Definition)
		}
		known("variable "+v.Name, m[2])
		queries, variables = append(queries, m[1]), append(variables, "$"+v.Name, ".*")
	}
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %s has no query", p.Title)
		}
		for _, q := range p.Targets {
			for _, l := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				known(p.Title, l[1])
			}
			queries = append(queries, q.Expr)
		}
	}
	if len(queries) < 10 {
		t.Fatalf("only %d queries: %q", len(queries), queries)
	}
	fill := strings.NewReplacer(variables...)
	// As rules, the queries can be checked.
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for i, q := range queries {
		for _, l := range regexp.MustCompile(`[{,](\w+)[=!]`).FindAllStringSubmatch(q, -1) {
			known(q, l[1])
		}
		checkNames(t, q)
		if q = fill.Replace(q); strings.Contains(q, "$") {
			t.Errorf("an unknown variable in %s", q)
		}
		text, err := json.Marshal(q) // which is YAML, too
		ipctest.NoErr(t, err)
		rules += fmt.Sprintf("  - record: panel:%d\n    expr: %s\n", i, text)
	}
	file := filepath.Join(ipctest.Dir(t), "rules.yml")
	ipctest.NoErr(t, os.WriteFile(file, []byte(rules), 0o600))
	promtool(t, "check", "rules", file)
}
