package memstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// Options of New.
type Options struct {
	// Component is the kind of component to announce; empty announces none.
	Component string
	// LabelSets are external label sets to announce. The caller promises that
	// every series has all labels of at least one of them; nil promises nothing.
	LabelSets []labels.Labels
	// OpenEnd announces data up to the end of time, and all time while there is
	// none. It is for a Store that is appended to while others keep what it
	// announced. Otherwise the bounds of the data are announced, and a Store
	// without data announces an empty range, which a fan-out does not ask.
	OpenEnd bool
}

// Store is series in memory. The zero value is empty and ready for use.
//
// Concurrency: safe. A reader sees, of each series, the samples that were there
// when it came to it. Appending waits for the copying of single series only.
type Store struct {
	opts Options

	mu    sync.RWMutex
	index index
	// mint and maxt bound all data ever added since the last Delete; valid if
	// there are series.
	mint, maxt int64
}

// New returns an empty Store. opts may be nil.
func New(opts *Options) *Store {
	s := &Store{}
	if opts != nil {
		s.opts = *opts
		s.opts.LabelSets = slices.Clone(opts.LabelSets)
	}
	return s
}

// Series sends copies of the series that match and have data in the range.
//
// Of a series with several resolutions, the coarsest up to req.MaxResolution is
// sent, and finer ones where it has gaps longer than its resolution. Aggregates
// that a series has not are left out silently. A request for no aggregates gets
// raw data only, whatever its MaxResolution.
//
// Series that WithoutReplicaLabels makes equal are sent as one.
//
// Errors: those of w, and the context's.
func (s *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	found, err := s.find(ctx, req)
	if err != nil {
		return err
	}
	for sent := 0; len(found) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 1
		for n < len(found) && labels.Equal(found[n].lset, found[0].lset) {
			n++
		}
		out := s.read(found[:n], req)
		found = found[n:]
		if out == nil {
			continue
		}
		if err := w.Send(out); err != nil {
			return err
		}
		if sent++; sent == req.Limit {
			return nil
		}
	}
	return nil
}

// match is a series that was asked for, with its labels as they are to be sent.
type match struct {
	lset   labels.Labels
	series *series
}

// find returns the series that match and belong to the shard, in the order in
// which they are to be sent, whether or not they have data in the range.
func (s *Store) find(ctx context.Context, req *store.SeriesRequest) ([]match, error) {
	if req.MinTime > req.MaxTime {
		return nil, ctx.Err()
	}
	s.mu.RLock()
	matched, err := s.index.matching(ctx, req.Matchers)
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	found := make([]match, 0, len(matched))
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, sr := range matched {
		lset := sr.lset
		if len(req.WithoutReplicaLabels) > 0 {
			b.Reset(lset)
			lset = b.Del(req.WithoutReplicaLabels...).Labels()
		}
		if req.Shard.Matches(lset) {
			found = append(found, match{lset, sr})
		}
	}
	slices.SortStableFunc(found, func(a, b match) int { return labels.Compare(a.lset, b.lset) })
	return found, nil
}

// read copies what a request asks for of series that are sent as one. It
// returns nil if they have no data in the range.
func (s *Store) read(group []match, req *store.SeriesRequest) *store.Series {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var picked []*store.Chunk
	for _, m := range group {
		picked = m.series.pick(picked, req)
	}
	if len(picked) == 0 {
		return nil
	}
	out := &store.Series{Labels: group[0].lset}
	if req.SkipChunks {
		return out
	}
	if len(group) > 1 {
		slices.SortStableFunc(picked, func(a, b *store.Chunk) int { return compareChunks(*a, *b) })
	}
	out.Chunks = copyChunks(picked, req.Aggregates)
	return out
}

func compareChunks(a, b store.Chunk) int {
	return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime))
}

// Describe announces the bounds of the data, the options' label sets, and that
// the Store shards and removes replica labels.
func (s *Store) Describe(ctx context.Context) (store.Info, error) {
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	s.mu.RLock()
	mint, maxt, empty := s.mint, s.maxt, len(s.index.all) == 0
	s.mu.RUnlock()
	switch {
	case s.opts.OpenEnd && empty:
		mint, maxt = math.MinInt64, math.MaxInt64
	case s.opts.OpenEnd:
		maxt = math.MaxInt64
	case empty:
		mint, maxt = math.MaxInt64, math.MinInt64
	}
	return store.Info{
		Component: s.opts.Component, LabelSets: slices.Clone(s.opts.LabelSets),
		MinTime: mint, MaxTime: maxt,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
	}, nil
}

// Delete forgets the series that match all matchers, every one if there are no
// matchers, and returns how many they were. Calls of Series that are under way
// may still send them.
func (s *Store) Delete(ms ...*labels.Matcher) int {
	req := store.SeriesRequest{Matchers: ms}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.index.all
	s.index = index{}
	for _, sr := range old {
		if !req.Matches(sr.lset) {
			s.index.add(sr)
			s.widen(sr)
		}
	}
	return len(old) - len(s.index.all)
}

// widen extends the bounds to those of a series that was just added.
func (s *Store) widen(sr *series) {
	mint, maxt := sr.bounds()
	if len(s.index.all) == 1 {
		s.mint, s.maxt = mint, maxt
		return
	}
	s.mint, s.maxt = min(s.mint, mint), max(s.maxt, maxt)
}
