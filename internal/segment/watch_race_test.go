//go:build race

package segment

func haveOneWatch(yes bool) { oneWatch = yes }
