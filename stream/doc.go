// Package stream has connections between processes over shared memory: a net.Listener and a
// net.Conn that can take the place of a TCP or Unix socket on one machine.
//
// All connections of a listener lie in one shared memory object, which has the name of the
// listener. docs/protocol/stream.md describes the protocol.
package stream
