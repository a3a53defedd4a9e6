package stream_test

var children = map[string]func([]string){}
