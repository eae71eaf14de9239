package bucketstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// LabelNames returns the label names of the blocks that overlap the range, from
// their index headers; those of the series that match and have data in the range
// if there are matchers on other labels than external ones. External labels are
// among them. Warnings go to req.Outcome, and so do Thanos' hints with the blocks
// that were read.
//
// Errors: as those of Series.
func (s *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	q := labelQuery{store: s, limit: req.Limit, outcome: req.Outcome, req: &store.SeriesRequest{
		MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy,
		WithoutReplicaLabels: req.WithoutReplicaLabels, StoreHints: req.StoreHints, SkipChunks: true,
	}, op: "LabelNames", hints: wire.LabelNamesRequestHintsType, response: wire.LabelNamesResponseHintsType}
	return q.run(ctx, func(ctx context.Context, c *call, b choice, _ []string) ([]string, error) {
		names := map[string]struct{}{}
		if len(b.matchers) == 0 {
			err := c.withIndex(ctx, b.block, func(x *indexReader) error {
				for _, n := range x.labelNames() {
					names[n] = struct{}{}
				}
				b.block.labels.Range(func(l labels.Label) { names[l.Name] = struct{}{} })
				return nil
			})
			if err != nil {
				return nil, err
			}
		} else if err := c.each(ctx, b, func(lset []byte) error {
			encoded.Each(lset, func(name, _ []byte) bool {
				if _, ok := names[string(name)]; !ok {
					names[string(name)] = struct{}{}
				}
				return true
			})
			return nil
		}); err != nil {
			return nil, err
		}
		for _, n := range req.WithoutReplicaLabels {
			delete(names, n)
		}
		return slices.Sorted(maps.Keys(names)), nil
	})
}

// LabelValues returns the values of a label in the blocks that overlap the range:
// from their index headers, or those that the series have which match. Where many
// series match and the label has few values, postings decide, which know no time. The
// value of an external label counts if any series matches. Warnings and hints are
// as with LabelNames.
//
// Errors: as those of Series; store.ErrInvalidRequest if the request names no
// label.
func (s *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", store.ErrInvalidRequest)
	}
	if slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	q := labelQuery{store: s, limit: req.Limit, outcome: req.Outcome, req: &store.SeriesRequest{
		MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy,
		StoreHints: req.StoreHints, SkipChunks: true,
	}, op: "LabelValues", hints: wire.LabelValuesRequestHintsType, response: wire.LabelValuesResponseHintsType}
	return q.run(ctx, func(ctx context.Context, c *call, b choice, known []string) ([]string, error) {
		if v := b.block.labels.Get(req.Label); v != "" {
			return c.externalValue(ctx, b, v)
		}
		if len(b.matchers) == 0 {
			var values []string
			err := c.withIndex(ctx, b.block, func(x *indexReader) error {
				values = x.labelValues(req.Label, known)
				return nil
			})
			return values, err
		}
		values, done, err := c.byPostings(ctx, b, req.Label)
		if done || err != nil {
			return values, err
		}
		seen := map[string]struct{}{}
		has := labels.MustNewMatcher(labels.MatchNotEqual, req.Label, "")
		err = c.each(ctx, choice{b.block, append(slices.Clip(b.matchers), has)}, func(lset []byte) error {
			encoded.Each(lset, func(name, value []byte) bool {
				if string(name) != req.Label {
					return string(name) < req.Label
				}
				if _, ok := seen[string(value)]; !ok {
					seen[string(value)] = struct{}{}
				}
				return false
			})
			return nil
		})
		return slices.Sorted(maps.Keys(seen)), err
	})
}

// externalValue returns the value of an external label if any series matches.
func (c *call) externalValue(ctx context.Context, b choice, value string) ([]string, error) {
	if len(b.matchers) == 0 {
		return []string{value}, nil
	}
	found := false
	err := c.each(ctx, b, func([]byte) error {
		found = true
		return errEnough
	})
	if err != nil || !found {
		return nil, err
	}
	return []string{value}, nil
}

// labelQuery is one call for label names or values.
type labelQuery struct {
	store           *Store
	req             *store.SeriesRequest // for the series that match
	limit           int
	outcome         *store.Outcome
	op              string
	hints, response string // types
}

// run asks each block that overlaps the range, whatever its resolution, and
// unites what they say.
func (q *labelQuery) run(ctx context.Context, ask asker) (_ []string, err error) {
	s := q.store
	hints, err := wire.DecodeBlockHints(q.req.StoreHints, q.hints)
	if err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, span := s.tracer.Start(ctx, "bucketstore."+q.op)
	defer func() { endSpan(span, err) }()
	c := s.newCall(ctx, q.req)
	c.pick(hints.Matchers, func(dst []*loadedBlock, set *blockSet) []*loadedBlock {
		for _, bs := range set.blocks {
			for _, b := range bs {
				switch {
				case !b.overlaps(c.mint, c.maxt):
				case b.broken == nil:
					dst = append(dst, b)
				case b.matches(hints.Matchers):
					c.broken = append(c.broken, b.broken)
				}
			}
		}
		return dst
	})
	defer c.release()
	w := outcomeWriter{q.outcome}
	if err := c.incomplete(w); err != nil {
		return nil, err
	}
	if len(c.chosen) > 0 {
		c.share()
	}
	found, err := c.askAll(ctx, w, ask)
	if err != nil {
		return nil, err
	}
	c.respond(q.outcome, q.response, false)
	if q.limit > 0 && len(found) > q.limit {
		found = found[:q.limit:q.limit]
	}
	return found, nil
}

// asker returns what a block says, ascending, each once. It need not say what is
// known already, which ascends, too.
type asker func(ctx context.Context, c *call, b choice, known []string) ([]string, error)

// askers is how many blocks are asked at a time for labels.
const askers = 16

// askAll asks the blocks and returns what they say, ascending and without
// duplicates.
func (c *call) askAll(ctx context.Context, w store.SeriesWriter, ask asker) ([]string, error) {
	var found union
	losses := make([]error, len(c.chosen))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(askers)
	for i, b := range c.chosen {
		g.Go(func() error {
			values, err := ask(gctx, c, b, found.longest())
			if err != nil {
				losses[i] = err
				if c.req.Strategy == store.Abort {
					return err
				}
			}
			found.add(values)
			return gctx.Err()
		})
	}
	err := g.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	for _, loss := range losses {
		if loss == nil {
			continue
		}
		if err := c.failed(w, loss); err != nil {
			return nil, err
		}
	}
	return found.all(), nil
}

// withIndex calls use with the index of a block.
func (c *call) withIndex(ctx context.Context, b *loadedBlock, use func(*indexReader) error) error {
	x, err := newIndexReader(ctx, c.store.index, b.index, &c.stats)
	if err != nil {
		return c.blockError(b, "read labels", err)
	}
	defer x.close()
	return use(x)
}

// each calls use with the labels, as they are sent, of the series of a block that
// match and have data in the range, until it returns an error, which is no error
// if it is errEnough.
func (c *call) each(ctx context.Context, b choice, use func(lset []byte) error) error {
	s := &stream{call: c, block: b.block, matchers: b.matchers}
	return s.labels(ctx, use)
}

// outcomeWriter is the writer of a call that sends no series.
type outcomeWriter struct{ outcome *store.Outcome }

func (w outcomeWriter) Send(*store.Series) error { return nil }

func (w outcomeWriter) Warn(err error) error {
	w.outcome.AddWarning(err)
	return nil
}
