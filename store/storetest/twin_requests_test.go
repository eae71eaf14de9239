package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// matched makes a twin that takes some matchers for others.
func matched(is func(m *labels.Matcher) bool, other func(m *labels.Matcher) *labels.Matcher) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return requests(func(r *store.SeriesRequest) {
		for i, m := range r.Matchers {
			if is(m) {
				r.Matchers[i] = other(m)
			}
		}
	})
}

func matcherTwins() []twin {
	on := func(t labels.MatchType, name, value string) func(m *labels.Matcher) bool {
		return func(m *labels.Matcher) bool { return m.Type == t && m.Name == name && m.Value == value }
	}
	into := func(t labels.MatchType, change func(v string) string) func(m *labels.Matcher) *labels.Matcher {
		return func(m *labels.Matcher) *labels.Matcher { return labels.MustNewMatcher(t, m.Name, change(m.Value)) }
	}
	constant := func(s string) func(string) string { return func(string) string { return s } }
	return []twin{
		{check: "matchers-equal", wrong: "matches prefixes", make: matched(on(labels.MatchEqual, labelValue, "ab"), into(labels.MatchRegexp, constant("ab.*")))},
		{check: "matchers-not-equal", wrong: "wants the label", make: matched(on(labels.MatchNotEqual, labelValue, "b"), into(labels.MatchRegexp, constant("(?s)[^b]|..+")))},
		{check: "matchers-regexp", wrong: "does not anchor", make: matched(on(labels.MatchRegexp, labelValue, "1.*"), into(labels.MatchRegexp, constant(".*1.*")))},
		{check: "matchers-not-regexp", wrong: "does not anchor", make: matched(on(labels.MatchNotRegexp, labelValue, "1.*"), into(labels.MatchNotRegexp, constant(".*1.*")))},
		{check: "matchers-alternatives", wrong: "knows one", make: matched(
			func(m *labels.Matcher) bool {
				return m.Type == labels.MatchRegexp && m.Name == labelValue && strings.HasPrefix(m.Value, "no such value|")
			},
			into(labels.MatchRegexp, constant("no such value")))},
		{check: "matchers-empty", wrong: "looks for an empty value", make: matched(on(labels.MatchEqual, labelValue, ""), into(labels.MatchEqual, constant("no such value")))},
		{check: "matchers-empty", wrong: "takes any value for one", make: matched(on(labels.MatchRegexp, labelValue, ".*"), into(labels.MatchRegexp, constant("(?s).+")))},
		{check: "matchers-case", wrong: "knows no flags", make: matched(
			func(m *labels.Matcher) bool { return m.Name == labelValue && strings.HasPrefix(m.Value, "(?i)") },
			into(labels.MatchRegexp, func(v string) string { return strings.TrimPrefix(v, "(?i)") }))},
		{check: "matchers-unknown-label", wrong: "answers nothing", make: matched(
			func(m *labels.Matcher) bool { return m.Name == "storetest_no_such_label" },
			into(labels.MatchEqual, constant("no such value")))},
		{check: "matchers-several", wrong: "heeds the last of a label", make: requests(func(r *store.SeriesRequest) {
			var out []*labels.Matcher
			for i, m := range r.Matchers {
				if !slices.ContainsFunc(r.Matchers[i+1:], func(n *labels.Matcher) bool { return n.Name == m.Name }) {
					out = append(out, m)
				}
			}
			r.Matchers = out
		})},
		{check: "matchers-metric-name", wrong: "knows one metric", make: matched(
			func(m *labels.Matcher) bool { return m.Type == labels.MatchRegexp && m.Name == labels.MetricName },
			into(labels.MatchRegexp, func(v string) string { return strings.Split(v, "|")[0] }))},
		{check: "matchers-external", wrong: "answers nothing if no matcher is left", make: requests(func(r *store.SeriesRequest) {
			own := func(m *labels.Matcher) bool { return !DefaultExternalLabels().Has(m.Name) }
			if len(r.Matchers) > 0 && !slices.ContainsFunc(r.Matchers, own) {
				r.MinTime, r.MaxTime = 1, 0
			}
		})},
		{check: "matchers-none", wrong: "insists on matchers", make: answersOr(func(req *store.SeriesRequest, _ []*store.Series) error {
			if len(req.Matchers) == 0 {
				return errors.New("no matchers specified")
			}
			return nil
		})},
	}
}

func boundsTwins() []twin {
	return []twin{
		{check: "bounds-inclusive", wrong: "excludes the end", make: requests(func(r *store.SeriesRequest) {
			if !r.SkipChunks {
				r.MaxTime--
			}
		})},
		{check: "bounds-inclusive", wrong: "excludes the start", make: requests(func(r *store.SeriesRequest) {
			if !r.SkipChunks {
				r.MinTime++
			}
		})},
		{check: "bounds-outside", wrong: "knows seconds only", make: requests(func(r *store.SeriesRequest) {
			if !r.SkipChunks && r.MinTime <= r.MaxTime {
				r.MinTime, r.MaxTime = max(r.MinTime, math.MinInt64+1000)-1000, min(r.MaxTime, math.MaxInt64-1000)+1000
			}
		})},
		{check: "bounds-inverted", wrong: "turns it round", make: requests(func(r *store.SeriesRequest) {
			r.MinTime, r.MaxTime = min(r.MinTime, r.MaxTime), max(r.MinTime, r.MaxTime)
		})},
		{check: "overhanging-chunks", wrong: "sends chunks that lie in the range", make: each(metricLong, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if req.SkipChunks {
				return s
			}
			s.Chunks = slices.DeleteFunc(s.Chunks, func(c store.Chunk) bool { return c.MinTime < req.MinTime || c.MaxTime > req.MaxTime })
			if len(s.Chunks) == 0 {
				return nil
			}
			return s
		})},
		{check: "skip-chunks", wrong: "does not know it", make: requests(func(r *store.SeriesRequest) { r.SkipChunks = false })},
		{check: "skip-chunks-range", wrong: "looks up labels for all time", make: requests(func(r *store.SeriesRequest) {
			if r.SkipChunks {
				r.MinTime, r.MaxTime = math.MinInt64, math.MaxInt64
			}
		})},
		{check: "limit", wrong: "sends the last", make: unlimited(func(req *store.SeriesRequest) bool { return req.Shard == nil && len(req.WithoutReplicaLabels) == 0 },
			func(ss []*store.Series, limit int) []*store.Series { return ss[max(len(ss)-limit, 0):] })},
		{check: "limit", wrong: "sends one less", make: unlimited(func(req *store.SeriesRequest) bool { return req.Shard == nil && len(req.WithoutReplicaLabels) == 0 },
			func(ss []*store.Series, limit int) []*store.Series { return ss[:min(limit-1, len(ss))] })},
		{check: "strategy-abort", wrong: "aborts for no reason", make: answersOr(func(req *store.SeriesRequest, _ []*store.Series) error {
			if req.Strategy == store.Abort {
				return errors.New("partial response")
			}
			return nil
		})},
	}
}

// unlimited makes a twin that does something else with limits.
func unlimited(is func(*store.SeriesRequest) bool, limit func(ss []*store.Series, limit int) []*store.Series) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
		return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			if req.Limit == 0 || !is(req) {
				return s.Series(ctx, req, w)
			}
			r := *req
			r.Limit = 0
			ss, err := readAll(ctx, s, &r)
			if err != nil {
				return err
			}
			return send(w, limit(ss, req.Limit))
		}}
	}
}

// queried makes a twin that answers label queries otherwise. Either may be nil.
func queried(names func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error),
	values func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error),
) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
	return func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
		q, b := s.(store.LabelQuerier), &broken{Store: s}
		if names != nil {
			b.names = func(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) { return names(q, ctx, req) }
		}
		if values != nil {
			b.values = func(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) { return values(q, ctx, req) }
		}
		return b
	}
}

func labelTwins() []twin {
	const long = 1_000_000
	return []twin{
		{check: "label-names", wrong: "forgets one", make: queried(func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
			names, err := s.LabelNames(ctx, req)
			if req.Limit == 0 && len(req.Matchers) == 1 && len(req.WithoutReplicaLabels) == 0 && req.MaxTime-req.MinTime > long {
				names = slices.DeleteFunc(names, func(n string) bool { return n == labelValue })
			}
			return names, err
		}, nil)},
		{check: "label-names-matchers", wrong: "ignores matchers", make: queried(func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
			r := *req
			r.Matchers = nil
			return s.LabelNames(ctx, &r)
		}, nil)},
		{check: "label-values", wrong: "makes one up", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			values, err := s.LabelValues(ctx, req)
			if req.Limit == 0 && len(req.Matchers) == 1 && len(req.WithoutReplicaLabels) == 0 && req.MaxTime-req.MinTime > long && req.Label == "a" {
				values = append(values, "~")
			}
			return values, err
		})},
		{check: "label-values-matchers", wrong: "ignores matchers", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			r := *req
			r.Matchers = nil
			return s.LabelValues(ctx, &r)
		})},
		{check: "label-values-no-label", wrong: "answers nothing", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			if req.Label == "" {
				return nil, nil
			}
			return s.LabelValues(ctx, req)
		})},
		{check: "label-queries-order", wrong: "does not sort names", make: queried(func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
			names, err := s.LabelNames(ctx, req)
			slices.Reverse(names)
			return names, err
		}, nil)},
		{check: "label-queries-order", wrong: "sends a value twice", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			values, err := s.LabelValues(ctx, req)
			if len(values) > 0 {
				values = append([]string{values[0]}, values...)
			}
			return values, err
		})},
		{check: "label-queries-range", wrong: "forgets short ranges", make: queried(func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
			if req.MaxTime-req.MinTime < 1000 {
				return nil, nil
			}
			return s.LabelNames(ctx, req)
		}, nil)},
		{check: "label-queries-limit", wrong: "does not know it", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			r := *req
			r.Limit = 0
			return s.LabelValues(ctx, &r)
		})},
	}
}

// stripAll removes labels from series, and sorts and merges them.
func stripAll(ss []*store.Series, names []string) []*store.Series {
	for _, s := range ss {
		s.Labels = without(s.Labels, names)
	}
	slices.SortStableFunc(ss, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) })
	return slices.CompactFunc(ss, func(a, b *store.Series) bool {
		if !labels.Equal(a.Labels, b.Labels) {
			return false
		}
		a.Chunks = append(a.Chunks, b.Chunks...)
		return true
	})
}

func replicaTwins() []twin {
	removes := func(r *store.SeriesRequest) bool { return len(r.WithoutReplicaLabels) > 0 }
	return []twin{
		{check: "replica-labels", wrong: "sends one replica only", make: each(metricReplica, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if removes(req) && len(s.Chunks) > 1 {
				s.Chunks = s.Chunks[:1]
			}
			return s
		})},
		{check: "order-replica-labels", wrong: "removes them after sorting", make: family(metricReplica, func(req *store.SeriesRequest, _ *Fixture, ss []*store.Series) {
			if removes(req) && req.Limit == 0 && !req.SkipChunks && len(ss) > 1 {
				ss[0], ss[1] = ss[1], ss[0]
			}
		})},
		{check: "skip-chunks-replica-labels", wrong: "removes them with chunks only", make: requests(func(r *store.SeriesRequest) {
			if r.SkipChunks {
				r.WithoutReplicaLabels = nil
			}
		})},
		{check: "limit-replica-labels", wrong: "counts before it removes them", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if req.Limit == 0 || !removes(req) {
					return s.Series(ctx, req, w)
				}
				r := *req
				r.WithoutReplicaLabels = nil
				ss, err := readAll(ctx, s, &r)
				if err != nil {
					return err
				}
				return send(w, stripAll(ss, req.WithoutReplicaLabels))
			}}
		}},
		{check: "label-queries-replica-labels", wrong: "names them", make: queried(func(s store.LabelQuerier, ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
			r := *req
			r.WithoutReplicaLabels = nil
			return s.LabelNames(ctx, &r)
		}, nil)},
		{check: "label-queries-replica-labels", wrong: "has their values", make: queried(nil, func(s store.LabelQuerier, ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
			r := *req
			r.WithoutReplicaLabels = nil
			return s.LabelValues(ctx, &r)
		})},
	}
}

func shardTwins() []twin {
	sharded := func(alter func(r *store.SeriesRequest, sh *store.Shard)) func(*testing.T, store.Store, *Fixture, <-chan struct{}) store.Store {
		return requests(func(r *store.SeriesRequest) {
			if r.Shard != nil {
				sh := *r.Shard
				r.Shard = &sh
				alter(r, &sh)
			}
		})
	}
	return []twin{
		{check: "sharding-hash", wrong: "has a hash of its own", make: sharded(func(r *store.SeriesRequest, sh *store.Shard) {
			if len(sh.Labels) == 0 && !r.SkipChunks && r.Limit == 0 && len(r.WithoutReplicaLabels) == 0 {
				sh.Index = (sh.Index + 1) % sh.Total
			}
		})},
		{check: "sharding-by", wrong: "heeds one label", make: sharded(func(_ *store.SeriesRequest, sh *store.Shard) {
			if sh.By {
				sh.Labels = sh.Labels[:1]
			}
		})},
		{check: "sharding-without", wrong: "takes all labels", make: sharded(func(_ *store.SeriesRequest, sh *store.Shard) {
			if !sh.By {
				sh.Labels = nil
			}
		})},
		{check: "sharding-skip-chunks", wrong: "shards chunks only", make: requests(func(r *store.SeriesRequest) {
			if r.SkipChunks {
				r.Shard = nil
			}
		})},
		{check: "sharding-limit", wrong: "counts before it shards", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if req.Limit == 0 || req.Shard == nil {
					return s.Series(ctx, req, w)
				}
				r := *req
				r.Shard = nil
				ss, err := readAll(ctx, s, &r)
				if err != nil {
					return err
				}
				return send(w, slices.DeleteFunc(ss, func(s *store.Series) bool { return !req.Shard.Matches(s.Labels) }))
			}}
		}},
		{check: "sharding-replica-labels", wrong: "shards before it removes them", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if req.Shard == nil || len(req.WithoutReplicaLabels) == 0 {
					return s.Series(ctx, req, w)
				}
				r := *req
				r.WithoutReplicaLabels = nil
				ss, err := readAll(ctx, s, &r)
				if err != nil {
					return err
				}
				return send(w, stripAll(ss, req.WithoutReplicaLabels))
			}}
		}},
	}
}

func aggregateTwins() []twin {
	return []twin{
		{check: "resolution-raw", wrong: "prefers downsampled data", make: requests(func(r *store.SeriesRequest) {
			if r.Aggregates != 0 && r.MaxResolution == 0 {
				r.MaxResolution = coarse
			}
		})},
		{check: "resolution-raw-data", wrong: "has none at other resolutions", make: each(metricFloats, func(req *store.SeriesRequest, s *store.Series) *store.Series {
			if req.MaxResolution > 0 {
				return nil
			}
			return s
		})},
		{check: "resolution-coarsest", wrong: "sends finer data", make: requests(func(r *store.SeriesRequest) { r.MaxResolution = min(r.MaxResolution, fine) })},
		{check: "resolution-finer", wrong: "sends coarser data", make: requests(func(r *store.SeriesRequest) {
			if r.MaxResolution == fine {
				r.MaxResolution = coarse
			}
		})},
		{check: "resolution-gaps", wrong: "leaves them", make: func(t *testing.T, s store.Store, f *Fixture, stop <-chan struct{}) store.Store {
			start, _ := f.TimeRange()
			return each(metricDownsampled, func(req *store.SeriesRequest, s *store.Series) *store.Series {
				if req.MaxResolution == coarse {
					s.Chunks = slices.DeleteFunc(s.Chunks, func(c store.Chunk) bool { return c.Aggregated != nil && c.MinTime > start+coarseTo.Milliseconds() })
				}
				return s
			})(t, s, f, stop)
		}},
		{check: "aggregates", wrong: "mixes them up", make: func(_ *testing.T, s store.Store, _ *Fixture, _ <-chan struct{}) store.Store {
			return &broken{Store: s, series: func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				r := *req
				if r.Aggregates != store.AggregateSum {
					return s.Series(ctx, req, w)
				}
				r.Aggregates = store.AggregateMin
				ss, err := readAll(ctx, s, &r)
				for _, x := range ss {
					for _, c := range x.Chunks {
						if a := c.Aggregated; a != nil {
							a.Sum, a.Min = a.Min, store.ChunkData{}
						}
					}
				}
				if err != nil {
					return err
				}
				return send(w, ss)
			}}
		}},
		{check: "aggregates-others", wrong: "sends all", make: requests(func(r *store.SeriesRequest) {
			if r.MaxResolution > 0 && r.Aggregates != 0 {
				r.Aggregates = allAggregates
			}
		})},
		{check: "hints", wrong: "takes a function for a request without chunks", make: requests(func(r *store.SeriesRequest) {
			if r.Hints != nil && r.Hints.Func == "series" {
				r.SkipChunks = true
			}
		})},
		{check: "hints-unknown", wrong: "fails", make: answersOr(func(req *store.SeriesRequest, _ []*store.Series) error {
			if req.StoreHints != nil {
				return errors.New("unmarshal hints")
			}
			return nil
		})},
	}
}
