package discovery

import (
	"fmt"
	"log/slog"
	"time"
)

// Status is what is known of a place where endpoints come from.
type Status struct {
	// Origin is the path of a file, or the address of an endpoint as configured:
	// one that is looked up, or that cannot be dialed.
	Origin string
	// Endpoints is how many endpoints the file has, or members the address.
	Endpoints int
	// Checked is when it was read or looked up last, whether it worked or not.
	Checked time.Time
	// Err is why not, an *Error; nil if it worked. Endpoints is then what was
	// known before.
	Err error
}

// Error is what is wrong with a file or address.
type Error struct {
	// Op is "read", "look up" or "dial".
	Op string
	// Origin is the path of the file, or the address as configured.
	Origin string
	Err    error
}

// Error returns "OP ORIGIN: cause".
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Origin, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// logChanges tells of what went wrong in a new way, and of what works again.
func logChanges(log *slog.Logger, before, after []Status) {
	was := make(map[string]error, len(before))
	for _, s := range before {
		was[s.Origin] = s.Err
	}
	for _, s := range after {
		switch old := was[s.Origin]; {
		case s.Err != nil && !sameError(old, s.Err):
			log.Warn("endpoints cannot be discovered", slog.Any("err", s.Err))
		case s.Err == nil && old != nil:
			log.Info("endpoints are discovered again", slog.String("origin", s.Origin), slog.Int("endpoints", s.Endpoints))
		}
	}
}
