//go:build !race

package segment

// ownWatch stands for the death watch of the process. There is only one.
type ownWatch struct{}

func (*ownWatch) watch() *deathWatch { return &watch }
