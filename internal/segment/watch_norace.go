//go:build !race

package segment

// ownWatch stands for the death watch, of which a process has one.
type ownWatch struct{}

func (*ownWatch) watch() *deathWatch { return &watch }
