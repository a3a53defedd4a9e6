package ipctest

import "testing"

// Alone keeps tests of other packages, which go test runs beside this one, from using
// what bears the same name on the whole machine, until the test ends. Tests of one
// package may call it for one name at a time, any number of times.
func Alone(t testing.TB, name string) {
	t.Helper()
	release, err := TakeTurn(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}
