//go:build !race

package edge

import (
	"reflect"
	"testing"
)

// Without the detector a field of type Object takes no space.
func TestNothingWithoutDetector(t *testing.T) {
	if n := reflect.TypeFor[Object]().Size(); n != 0 || Enabled {
		t.Errorf("an Object has %d bytes, and Enabled is %t", n, Enabled)
	}
}
