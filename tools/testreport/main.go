// Testreport reads the output of "go test -json", and prints the parts that people read: go's
// line for each package, before it the output of failed tests, and at the end the slowest tests.
//
//	go test -json ./... | testreport
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	slowest := flag.Int("slowest", 10, "how many of the slowest tests to print")
	verbose := flag.Bool("v", false, "print the output of tests that passed, too")
	flag.Parse()
	// A signal that ends the step also ends the tests. The report comes after that.
	signal.Ignore(syscall.SIGTERM)
	out := bufio.NewWriter(os.Stdout)
	err := report(os.Stdin, out, *slowest, *verbose)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output, instead of Package
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// test is a test that has begun and not ended, or a test that failed.
type test struct {
	name   string
	output []string
	failed bool
}

// pkg is a package whose result is not known yet.
type pkg struct {
	tests  []*test // in the order in which they began
	output []string
	// over says that it has said that all its tests are over. go test believes the exit code alone,
	// and a program that is ended from outside can have 0: so it is under Wine.
	over bool
}

func (p *pkg) test(name string) *test {
	for _, t := range p.tests {
		if t.name == name {
			return t
		}
	}
	t := &test{name: name}
	p.tests = append(p.tests, t)
	return t
}

type timing struct {
	pkg, test string
	seconds   float64
}

// report prints the report of in to out. It copies lines that are no events unchanged.
func report(in io.Reader, out *bufio.Writer, slowest int, verbose bool) error {
	packages := map[string]*pkg{}
	var order, short []string
	var times []timing
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		var e event
		if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &e) != nil {
			_, _ = out.Write(line)
		} else if e.Action == "build-output" {
			_, _ = out.WriteString(e.Output)
		} else if e.Package != "" {
			p := packages[e.Package]
			if p == nil {
				p = &pkg{}
				packages[e.Package] = p
				order = append(order, e.Package)
			}
			p.over = p.over || e.Action == "output" && e.Test == "" && strings.HasSuffix(strings.TrimSpace(e.Output), "PASS")
			switch {
			case e.Action == "output" && verbose:
				_, _ = out.WriteString(e.Output)
			case e.Action == "output" && e.Test != "":
				t := p.test(e.Test)
				t.output = append(t.output, e.Output)
			case e.Action == "output":
				p.output = append(p.output, e.Output)
			case e.Action == "pass" && e.Test != "", e.Action == "skip" && e.Test != "":
				p.tests = slices.DeleteFunc(p.tests, func(t *test) bool { return t.name == e.Test })
			case e.Action == "fail" && e.Test != "":
				p.test(e.Test).failed = true
			case e.Action == "pass", e.Action == "skip", e.Action == "fail":
				early := e.Action == "pass" && !p.over
				p.print(out, early || e.Action == "fail")
				if early {
					fmt.Fprintf(out, "FAIL\t%s [it ended before its tests were over, with exit code 0]\n", e.Package)
					short = append(short, e.Package)
				}
				delete(packages, e.Package)
			}
			// The time of a test contains that of its subtests.
			if ended := e.Action == "pass" || e.Action == "fail"; ended && e.Test != "" && !strings.Contains(e.Test, "/") {
				times = append(times, timing{e.Package, e.Test, e.Elapsed})
			}
			_ = out.Flush()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	// go test was stopped.
	for _, name := range order {
		if p := packages[name]; p != nil {
			p.print(out, true)
			fmt.Fprintf(out, "FAIL\t%s [no result]\n", name)
		}
	}
	printSlowest(out, times, slowest)
	if len(short) > 0 {
		return fmt.Errorf("ended before their tests were over: %s", strings.Join(short, ", "))
	}
	return nil
}

// print prints the last line, which is go's result, and before it, if the package failed,
// the output of tests that failed or did not end and of the package itself.
func (p *pkg) print(out *bufio.Writer, failed bool) {
	if failed {
		for _, t := range p.tests {
			for _, s := range t.output {
				// The line about the beginning is only printed with -v.
				if !strings.HasPrefix(s, "=== ") {
					_, _ = out.WriteString(s)
				}
			}
			if !t.failed {
				fmt.Fprintf(out, "--- no result: %s\n", t.name)
			}
		}
	}
	for _, s := range p.output {
		if failed || strings.HasPrefix(s, "ok  \t") || strings.HasPrefix(s, "?   \t") {
			_, _ = out.WriteString(s)
		}
	}
}

// printSlowest prints up to n tests. A test below a tenth of a second is not slow.
func printSlowest(out *bufio.Writer, times []timing, n int) {
	times = slices.DeleteFunc(times, func(t timing) bool { return t.seconds < 0.1 })
	slices.SortStableFunc(times, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	for i, t := range times[:min(n, len(times))] {
		if i == 0 {
			fmt.Fprintln(out, "slowest tests:")
		}
		fmt.Fprintf(out, "%8.1f s  %s %s\n", t.seconds, t.pkg, t.test)
	}
}
