//go:build !linux || !(amd64 || arm64)

package main

import (
	"context"
	"runtime"
)

var shmipcGo = &peer{
	name: "shmipc-go, sleeping",
	prepare: func(context.Context, *bench) error {
		return missing("it is for Linux on amd64 and arm64, not %s on %s", runtime.GOOS, runtime.GOARCH)
	},
	subjects: goExchanges("shmipc", false),
}

func playShmipc(order, func() error) (sample, error)       { return sample{}, errMissing }
func playShmipcStream(order, func() error) (sample, error) { return sample{}, errMissing }
