package main

import (
	"bufio"
	"strings"
	"testing"
)

// The report keeps the output of what failed or did not end, and go's line for each
// package; of what passed it keeps the time alone.
func TestReport(t *testing.T) {
	in := []string{
		`{"Action":"start","Package":"good"}`,
		`{"Action":"run","Package":"good","Test":"TestSlow"}`,
		`{"Action":"output","Package":"good","Test":"TestSlow","Output":"=== RUN   TestSlow\n"}`,
		`{"Action":"output","Package":"good","Test":"TestSlow","Output":"noise\n"}`,
		`{"Action":"pass","Package":"good","Test":"TestSlow/sub","Elapsed":2.9}`,
		`{"Action":"pass","Package":"good","Test":"TestSlow","Elapsed":3.04}`,
		`{"Action":"pass","Package":"good","Test":"TestQuick","Elapsed":0.01}`,
		`{"Action":"output","Package":"good","Output":"PASS\n"}`,
		`{"Action":"output","Package":"good","Output":"ok  \tgood\t3.1s\n"}`,
		`{"Action":"pass","Package":"good","Elapsed":3.1}`,
		`{"Action":"output","Package":"none","Output":"?   \tnone\t[no test files]\n"}`,
		`{"Action":"skip","Package":"none"}`,
		`{"Action":"output","Package":"bad","Test":"TestPasses","Output":"noise\n"}`,
		`{"Action":"pass","Package":"bad","Test":"TestPasses","Elapsed":0.5}`,
		`{"Action":"output","Package":"bad","Test":"TestSkips","Output":"noise\n"}`,
		`{"Action":"skip","Package":"bad","Test":"TestSkips","Elapsed":9}`,
		`{"Action":"output","Package":"bad","Test":"TestFails","Output":"=== RUN   TestFails\n"}`,
		`{"Action":"output","Package":"bad","Test":"TestFails","Output":"    x_test.go:1: why\n"}`,
		`{"Action":"output","Package":"bad","Test":"TestFails","Output":"--- FAIL: TestFails (5.00s)\n"}`,
		`{"Action":"fail","Package":"bad","Test":"TestFails","Elapsed":5}`,
		`{"Action":"output","Package":"bad","Test":"TestHangs","Output":"panic: test timed out\n"}`,
		`{"Action":"output","Package":"bad","Output":"FAIL\tbad\t6.0s\n"}`,
		`{"Action":"fail","Package":"bad","Elapsed":6}`,
		`{"ImportPath":"broken","Action":"build-output","Output":"x.go:1: undefined: y\n"}`,
		`{"Action":"output","Package":"broken","Output":"FAIL\tbroken [build failed]\n"}`,
		`{"Action":"fail","Package":"broken","FailedBuild":"broken"}`,
		`not an event`,
		`{"Action":"run","Package":"cut off","Test":"TestOn"}`,
		`{"Action":"output","Package":"cut off","Test":"TestOn","Output":"so far\n"}`,
		`{"Action":"output","Package":"cut o`,
	}
	want := `ok  	good	3.1s
?   	none	[no test files]
    x_test.go:1: why
--- FAIL: TestFails (5.00s)
panic: test timed out
--- no result: TestHangs
FAIL	bad	6.0s
x.go:1: undefined: y
FAIL	broken [build failed]
not an event
{"Action":"output","Package":"cut o
so far
--- no result: TestOn
FAIL	cut off [no result]
slowest tests:
     5.0 s  bad TestFails
     3.0 s  good TestSlow
     0.5 s  bad TestPasses
`
	if got := run(t, strings.Join(in, "\n")+"\n", 3, false); got != want {
		t.Errorf("the report is\n%s\nwant\n%s", got, want)
	}
	if got := run(t, strings.Join(in, "\n"), 1, true); strings.Count(got, "noise\n") != 3 || strings.Contains(got, "TestSlow\nok") {
		t.Errorf("the whole report is\n%s", got)
	}
}

// A package whose program ends too early, and with exit code 0, has failed.
func TestEndedTooEarly(t *testing.T) {
	in := []string{
		`{"Action":"start","Package":"early"}`,
		`{"Action":"run","Package":"early","Test":"TestOn"}`,
		`{"Action":"output","Package":"early","Output":"ok  \tearly\t0.3s\n"}`,
		`{"Action":"pass","Package":"early","Elapsed":0.3}`,
	}
	for _, verbose := range []bool{false, true} {
		var b strings.Builder
		out := bufio.NewWriter(&b)
		err := report(strings.NewReader(strings.Join(in, "\n")), out, 1, verbose)
		_ = out.Flush()
		if err == nil || !strings.Contains(b.String(), "FAIL\tearly [") {
			t.Errorf("%v, the report is\n%s", err, b.String())
		}
	}
}

func run(t *testing.T, in string, slowest int, verbose bool) string {
	t.Helper()
	var b strings.Builder
	out := bufio.NewWriter(&b)
	if err := report(strings.NewReader(in), out, slowest, verbose); err != nil {
		t.Error(err)
	}
	_ = out.Flush()
	return b.String()
}
