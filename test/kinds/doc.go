// Package kinds tests what holds of every package and every kind of object: what a context
// ends, and which options and parameters are out of range.
package kinds
