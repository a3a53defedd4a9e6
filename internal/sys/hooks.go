package sys

// ObjectOf gives the rooms that stand on package samepage the Object of a
// *samepage.Memory, which that package keeps to itself. Package samepage sets it.
var ObjectOf func(memory any) *Object
