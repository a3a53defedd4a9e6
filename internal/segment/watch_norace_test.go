//go:build !race

package segment

func haveOneWatch(bool) {} // there is no other
