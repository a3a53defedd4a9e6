//go:build !windows

package main

func playNamedPipe(order, func() error) (sample, error) { return sample{}, errMissing }
func playCopyData(order, func() error) (sample, error)  { return sample{}, errMissing }
