package fanout

import (
	"errors"
	"log/slog"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// Health is what a fan-out knows of one of its members.
type Health struct {
	// Member is the member's name.
	Member string
	// Group is its declared group, empty if it is by itself.
	Group string
	// Strict says that it is asked, and stays, while it does not describe itself.
	Strict bool
	// Info is what the member said of itself last. It is the zero Info, which
	// says nothing, if the member is no store.Describer or never answered.
	Info store.Info
	// InfoTime is when it said so; zero if it never did.
	InfoTime time.Time
	// Err is why the member did not describe itself when it was last asked to, or
	// why it can never be asked: a *store.Error. It is nil for a healthy member.
	Err error
	// Since is since when the member has been as it is now, healthy or not; zero
	// if it was never asked for its Info.
	Since time.Time
	// Removed says that the member has not described itself for so long that the
	// fan-out goes on as if it were not there.
	Removed bool
	// Checked is when the member was last asked for its Info, whether it
	// answered or not; zero if it never was.
	Checked time.Time
}

// errUndescribed is the Err of a member that is to be asked for its Info first.
var errUndescribed = errors.New("not yet described")

// answered returns what is known of a member that was asked for its Info at now.
// removeAfter is 0 if it is never removed.
func (h *Health) answered(info store.Info, err error, now time.Time, removeAfter time.Duration) Health {
	after := *h
	after.Checked, after.Err = now, err
	if err == nil {
		after.Info, after.InfoTime = info, now
	}
	if h.Since.IsZero() || (h.Err == nil) != (err == nil) {
		after.Since = now
	}
	after.Removed = err != nil && removeAfter > 0 && now.Sub(after.Since) >= removeAfter
	return after
}

// A member that flaps is logged at most so often, and then again when it has
// calmed down.
const (
	maxChangesLogged = 4
	changesWindow    = time.Minute
)

// changes is what was logged of a member's health. The zero value is that of a
// member that is taken to be healthy.
type changes struct {
	unhealthy bool // as last logged
	silent    int  // changes that were not
	window    time.Time
	logged    int // in the window
}

// line is a line of the log.
type line struct {
	level   slog.Level
	message string
	args    []any
}

// lines are those that a member's health is worth if it is not as last logged.
func (c *changes) lines(before, after *Health) []line {
	if !errors.Is(before.Err, errUndescribed) && (before.Err == nil) != (after.Err == nil) {
		c.silent++
	}
	var out []line
	switch unhealthy := after.Err != nil; {
	case unhealthy == c.unhealthy || !c.allowed(after.Checked):
	case unhealthy:
		c.unhealthy = true
		out = append(out, line{slog.LevelWarn, "member became unhealthy", append(c.args(after), slog.Any("err", after.Err))})
	default:
		c.unhealthy = false
		out = append(out, line{slog.LevelInfo, "member became healthy", c.args(after)})
	}
	if after.Removed && !before.Removed {
		out = append(out, line{slog.LevelWarn, "member removed until it describes itself", []any{
			slog.String("store", after.Member), slog.Time("since", after.Since), slog.Any("err", after.Err),
		}})
	}
	return out
}

// allowed counts a line, unless there have been too many.
func (c *changes) allowed(now time.Time) bool {
	if now.Sub(c.window) >= changesWindow {
		c.window, c.logged = now, 0
	}
	if c.logged == maxChangesLogged {
		return false
	}
	c.logged++
	return true
}

// args says of whom a line is, and how many changes it stands for if not one.
func (c *changes) args(h *Health) []any {
	args := []any{slog.String("store", h.Member)}
	if c.silent > 1 {
		args = append(args, slog.Int("changes", c.silent))
	}
	c.silent = 0
	return args
}
