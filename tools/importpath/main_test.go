package main

import "testing"

func TestRename(t *testing.T) {
	const src = `// Package a is like "samepage".
package a

import (
	"fmt"

	"samepage"
	room "samepage/internal/room"
	"samepages/other"
)

import "samepage/cell"

var s = "samepage/cell" + fmt.Sprint(samepage.X, room.X, cell.X, other.X)
`
	const want = `// Package a is like "samepage".
package a

import (
	"fmt"

	"example.com/x"
	room "example.com/x/internal/room"
	"samepages/other"
)

import "example.com/x/cell"

var s = "samepage/cell" + fmt.Sprint(samepage.X, room.X, cell.X, other.X)
`
	got, err := rename([]byte(src), "samepage", "example.com/x")
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if back, err := rename(got, "example.com/x", "samepage"); err != nil || string(back) != src {
		t.Errorf("back: %v\n%s", err, back)
	}
}
