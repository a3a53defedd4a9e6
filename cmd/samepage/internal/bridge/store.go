package bridge

import "context"

type store struct {
	b *Bridge
	s *source
}

func (st *store) open(context.Context)         {}
func (st *store) send(context.Context, []byte) {}
