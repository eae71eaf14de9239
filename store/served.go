package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// ErrOutside says that a store told of what it may not serve.
var ErrOutside = errors.New("store serves what it may not")

// OutsideError is an ErrOutside with what was left out of an answer.
type OutsideError struct {
	// Served is what the store may serve: what matches all of it.
	Served []*labels.Matcher
	// What was left out: "series", "label values" or "label sets"; Count is how
	// many, and First the first of them, cut to 256 bytes.
	What  string
	Count int
	First string
}

// Error says how much was left out, and shows the first of it.
func (e *OutsideError) Error() string {
	return fmt.Sprintf("store serves what it may not: %d %s outside of %s left out, the first is %q", e.Count, e.What, selector(e.Served), e.First)
}

// Is reports that an OutsideError is an ErrOutside.
func (e *OutsideError) Is(target error) bool { return target == ErrOutside }

// maxShown bounds what a warning shows of a peer that may send anything.
const maxShown = 256

// WithServed holds a Store, which may be a peer that somebody else runs, to what it
// may serve: series that match all of the matchers, as a rule equalities on external
// labels. It is the counterpart of WithAllowed: that one keeps a caller from what
// belongs to others, this one keeps a store from passing for another. TLS has checked
// by name who is on the other end, so each member of a fan-out is wrapped with
// matchers of its own.
//
//   - The Store is asked only for what matches. Series that do not match even so are
//     left out, with one warning for each call, an *OutsideError; the call fails with
//     it if the Strategy is Abort. The same goes for values of the labels that are
//     matched on. Other labels may have any value, and label names are passed on,
//     since they belong to no series in particular.
//   - Label sets and TSDBs that do not match are left out of Info. Where it says
//     nothing, or a label set lacks what is matched on, the labels of equalities are
//     put in, since all series have them.
//   - Members of fan-outs behind the Store are not told of if they have label sets of
//     which none matches.
//
// Without matchers it does nothing. Replica labels that are matched on are removed
// here, not by the Store.
//
// Errors: an *OutsideError of Info if it has label sets and none of them may be; and
// see above.
// Cost: one look at the labels of each series; frames stay encoded.
func WithServed(ms ...*labels.Matcher) Middleware {
	ms = slices.Clone(ms)
	return func(s Store) Store {
		if len(ms) == 0 {
			return s
		}
		return &served{s, ms, newFramePool()}
	}
}

type served struct {
	next Store
	ms   []*labels.Matcher
	pool *framePool
}

// matched reports whether a label is one that the matchers are about.
func (s *served) matched(name string) bool {
	return slices.ContainsFunc(s.ms, func(m *labels.Matcher) bool { return m.Name == name })
}

// Series implements Store.
func (s *served) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	r := *req
	r.Matchers = slices.Concat(req.Matchers, s.ms)
	defer s.hear(&r.Outcome)()
	if !slices.ContainsFunc(req.WithoutReplicaLabels, s.matched) {
		return s.series(ctx, &r, w)
	}
	// What a store does to labels, and after that, is done here, as by
	// WithExternalLabels: once they are removed there is nothing to look at.
	sw := newSortingWriter(w, s.pool, encoded.NewRewrite(labels.EmptyLabels(), req.WithoutReplicaLabels), req)
	if req.Shard != nil && req.Shard.Total > 0 {
		sw.shard = req.Shard.hasher()
	}
	r.Shard, r.Limit = nil, 0
	r.WithoutReplicaLabels = slices.DeleteFunc(slices.Clone(req.WithoutReplicaLabels), s.matched)
	return sw.run(func(w SeriesWriter) error { return s.series(ctx, &r, w) })
}

// series has the Store answer, and warns of what was left out.
func (s *served) series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	sw := newServedWriter(s.ms, w)
	if err := s.next.Series(ctx, req, asWriter(sw, sw.frames)); err != nil || sw.outside == 0 {
		return err
	}
	outside := s.outside("series", sw.outside, sw.first)
	if req.Strategy == Abort {
		return outside
	}
	return w.Warn(outside)
}

// LabelNames implements LabelQuerier.
func (s *served) LabelNames(ctx context.Context, req *LabelNamesRequest) ([]string, error) {
	r := *req
	r.Matchers = slices.Concat(req.Matchers, s.ms)
	defer s.hear(&r.Outcome)()
	return LabelNames(ctx, s.next, &r)
}

// LabelValues implements LabelQuerier.
func (s *served) LabelValues(ctx context.Context, req *LabelValuesRequest) ([]string, error) {
	r := *req
	r.Matchers = slices.Concat(req.Matchers, s.ms)
	defer s.hear(&r.Outcome)()
	values, err := LabelValues(ctx, s.next, &r)
	if err != nil || !s.matched(req.Label) {
		return values, err
	}
	var in, out []string
	for _, v := range values {
		if slices.ContainsFunc(s.ms, func(m *labels.Matcher) bool { return m.Name == req.Label && !m.Matches(v) }) {
			out = append(out, v)
		} else {
			in = append(in, v)
		}
	}
	if len(out) > 0 {
		outside := s.outside("label values", len(out), out[0])
		if req.Strategy == Abort {
			return nil, outside
		}
		r.Outcome.AddWarning(outside)
	}
	return in, nil
}

// Describe implements Describer.
func (s *served) Describe(ctx context.Context) (Info, error) {
	info, err := Describe(ctx, s.next)
	if err != nil {
		return Info{}, err
	}
	if n := len(info.LabelSets); n > 0 && !slices.ContainsFunc(info.LabelSets, func(l labels.Labels) bool { return compatible(l, s.ms) }) {
		return Info{}, s.outside("label sets", n, info.LabelSets[0].String())
	}
	restrict(&info, s.ms)
	return info, nil
}

// MayHoldMetric implements MetricFilter.
func (s *served) MayHoldMetric(name string) bool { return MayHoldMetric(s.next, name) }

func (s *served) outside(what string, count int, first string) error {
	return &OutsideError{Served: s.ms, What: what, Count: count, First: first[:min(len(first), maxShown)]}
}

// hear puts an outcome of the Store's own in place of the caller's, if there is one,
// and returns what tells the caller of it: all but members that are none of the
// Store's.
func (s *served) hear(outcome **Outcome) (tell func()) {
	out := *outcome
	if out == nil {
		return func() {}
	}
	told := &Outcome{}
	*outcome = told
	return func() {
		for _, m := range told.Members() {
			if len(m.LabelSets) > 0 {
				if m.LabelSets = matching(m.LabelSets, s.ms); len(m.LabelSets) == 0 {
					continue
				}
			}
			out.AddMember(m)
		}
		for _, w := range told.Warnings() {
			out.AddWarning(w)
		}
		for _, h := range told.Hints() {
			out.AddHints(h)
		}
		for _, r := range told.Replicas() {
			out.AddReplica(r)
		}
		out.AddUnidentified(told.Unidentified())
		out.AddOmitted(told.Omitted())
	}
}

// servedWriter leaves out series that do not match.
type servedWriter struct {
	SeriesWriter
	frames  encoded.Writer // nil if the writer takes no frames
	filters []valueFilter
	sb      labels.ScratchBuilder

	outside int
	first   string
}

// valueFilter is a matcher that remembers what it has said of the last value.
type valueFilter struct {
	*labels.Matcher
	known bool
	last  []byte
	ok    bool
}

func newServedWriter(ms []*labels.Matcher, w SeriesWriter) *servedWriter {
	frames, _ := w.(encoded.Writer)
	out := &servedWriter{SeriesWriter: w, frames: frames, sb: labels.NewScratchBuilder(0)}
	for _, m := range ms {
		out.filters = append(out.filters, valueFilter{Matcher: m})
	}
	return out
}

// Send implements SeriesWriter.
func (w *servedWriter) Send(s *Series) error {
	for i := range w.filters {
		if f := &w.filters[i]; !f.Matches(s.Labels.Get(f.Name)) {
			w.leaveOut(s.Labels)
			return nil
		}
	}
	return w.SeriesWriter.Send(s)
}

// SendFrame implements encoded.Writer. A frame with nothing to leave out is passed
// on as it is.
func (w *servedWriter) SendFrame(f *encoded.Frame) error {
	bad := slices.IndexFunc(f.Series, w.isOutside)
	if bad < 0 {
		return w.frames.SendFrame(f)
	}
	f.Retain()
	rest := encoded.NewFrame(func(*encoded.Frame) { f.Release() })
	defer rest.Release()
	rest.Size, rest.Series = f.Size, slices.Clone(f.Series[:bad])
	for i := bad; i < len(f.Series); i++ {
		if s := &f.Series[i]; w.isOutside(*s) {
			w.leaveOut(encoded.Labels(s.Labels, &w.sb))
		} else {
			rest.Series = append(rest.Series, *s)
		}
	}
	if len(rest.Series) == 0 {
		return nil
	}
	return w.frames.SendFrame(rest)
}

// isOutside reports whether a series does not match.
func (w *servedWriter) isOutside(s encoded.Series) bool {
	for i := range w.filters {
		f := &w.filters[i]
		var value []byte
		encoded.Each(s.Labels, func(name, v []byte) bool {
			if string(name) == f.Name {
				value = v
			}
			return string(name) < f.Name // they ascend
		})
		if !f.matches(value) {
			return true
		}
	}
	return false
}

func (f *valueFilter) matches(value []byte) bool {
	if !f.known || !bytes.Equal(f.last, value) {
		f.last, f.ok, f.known = append(f.last[:0], value...), f.Matches(string(value)), true
	}
	return f.ok
}

func (w *servedWriter) leaveOut(lset labels.Labels) {
	if w.outside++; w.outside == 1 {
		w.first = lset.String()
	}
}
