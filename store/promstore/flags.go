package promstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/thanoskit/thanoskit/store"
)

// Flags asks Prometheus for the flags that it was started with: their values as
// text, by name without dashes, such as "storage.tsdb.path". Flags that were not
// given have their defaults.
//
// It needs no Sync. A call takes at most Options.Timeout.
//
// Errors: those of the package, in a *store.Error. A server that has no such
// endpoint, because it is older than Prometheus 2.2 or something else, is a
// *StatusError with code 404.
func (s *Store) Flags(ctx context.Context) (map[string]string, error) {
	asking, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	var flags map[string]string
	if err := s.fetchJSON(asking, flagsEndpoint, &flags); err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // ours: Prometheus was too slow
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return nil, s.fail("flags", err)
	}
	return flags, nil
}
