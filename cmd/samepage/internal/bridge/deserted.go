package bridge

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"samepage"
)

// A bridge lets an object go that it has found by a pattern, and that nobody else uses any more:
// else names that come and go would stay for ever.

var errDeserted = errors.New("only the bridge still uses it")

// isAnother says whether a member is of another process, and lives.
func isAnother(m *samepage.Member) bool { return m.Alive && (m.Foreign || m.PID != os.Getpid()) }

// deserted says whether nobody but this bridge has used an object for a while. used says whether
// somebody does now, and alone since when nobody does.
func (b *Bridge) deserted(kind samepage.Kind, name string, used bool, alone *time.Time) bool {
	if used {
		*alone = time.Time{}
		return false
	}
	if alone.IsZero() {
		*alone = time.Now()
	}
	if time.Since(*alone) <= b.o.Silence {
		return false
	}
	i, err := samepage.Stat(name, &samepage.Options{Scope: b.o.Scope, Owner: b.o.Owner, Kind: kind})
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return i.Lifetime != samepage.Persist // that stays also without the bridge
}
