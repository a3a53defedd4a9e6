// Package interop has tests with programs in other languages. The C++ programs in
// folder cpp do what existing Win32 programs do, with nothing of this project in
// them; `make wine` builds them with mingw and runs the tests under Wine.
package interop
