package main

import "strconv"

// The message_queue of Boost.Interprocess, which copies messages in and out.
var boostQueue = &peer{
	name:    "Boost message_queue, polling",
	prepare: compiled("peers/boostqueue.cpp", "boost/interprocess/ipc/message_queue.hpp", "libboost-dev", "-lrt"),
	subjects: exchanges(
		func(size int) measurer { return cProgram("boostqueue", "-size", strconv.Itoa(size)) },
		func(size int) measurer { return cProgram("boostqueue", "-size", strconv.Itoa(size), "-stream", "1") },
		false),
}
