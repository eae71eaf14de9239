package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// ErrDenied says that the caller may not have what it asks for.
var ErrDenied = errors.New("denied")

// ErrWithheld is in place of an error or a warning that the caller may not be told
// of: a part of the answer is missing, or may be.
var ErrWithheld = errors.New("part of the answer is missing, for a reason that the caller may not know")

// WithAllowed lets each caller have only series that match what allow says of it:
// all of the matchers, none meaning everything. That holds for label names and
// values too, for Info, and for what is told beside an answer: members of
// fan-outs are told of if one of their label sets matches, and only with those that
// do; errors and warnings that may name others are ErrWithheld, and hints of
// stores are dropped.
//
// Input: allow is called once for each call, with its context, in which a server
// over gRPC has the peer: see grpcstore.PeerIdentity. Matchers on external labels
// are best, since whole stores are then not asked. It must be safe for concurrent
// use.
// Errors: allow's, which the caller gets to see; ErrDenied, wrapped, is one that
// gRPC tells apart.
//
// The Store obeys matchers, as every Store must; middleware that adds external
// labels has to be behind this one. The time range of Info is that of all.
func WithAllowed(allow func(context.Context) ([]*labels.Matcher, error)) Middleware {
	return func(s Store) Store { return &allowed{s, allow} }
}

type allowed struct {
	next  Store
	allow func(context.Context) ([]*labels.Matcher, error)
}

// Series implements Store.
func (a *allowed) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	ms, err := a.allow(ctx)
	if err != nil {
		return err
	}
	if len(ms) == 0 {
		return a.next.Series(ctx, req, w)
	}
	r, told := *req, &Outcome{}
	r.Matchers, r.Require, r.Outcome = slices.Concat(req.Matchers, ms), nil, told
	frames, _ := w.(encoded.Writer)
	aw := &allowedWriter{SeriesWriter: w, frames: frames}
	err = a.next.Series(ctx, &r, asWriter(aw, frames))
	return end(err, aw.err, ms, req.Require, told, req.Outcome)
}

// LabelNames implements LabelQuerier.
func (a *allowed) LabelNames(ctx context.Context, req *LabelNamesRequest) ([]string, error) {
	ms, err := a.allow(ctx)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return LabelNames(ctx, a.next, req)
	}
	r, told := *req, &Outcome{}
	r.Matchers, r.Require, r.Outcome = slices.Concat(req.Matchers, ms), nil, told
	names, err := LabelNames(ctx, a.next, &r)
	if err := end(err, nil, ms, req.Require, told, req.Outcome); err != nil {
		return nil, err
	}
	return names, nil
}

// LabelValues implements LabelQuerier.
func (a *allowed) LabelValues(ctx context.Context, req *LabelValuesRequest) ([]string, error) {
	ms, err := a.allow(ctx)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return LabelValues(ctx, a.next, req)
	}
	r, told := *req, &Outcome{}
	r.Matchers, r.Require, r.Outcome = slices.Concat(req.Matchers, ms), nil, told
	values, err := LabelValues(ctx, a.next, &r)
	if err := end(err, nil, ms, req.Require, told, req.Outcome); err != nil {
		return nil, err
	}
	// A store may answer with what its external labels are, whatever else matches.
	return slices.DeleteFunc(values, func(v string) bool {
		return slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.Name == req.Label && !m.Matches(v) })
	}), nil
}

// Describe implements Describer. The label sets are those that match. Where that
// cannot be said, because a set has not all of the labels or there are none, it is
// what all series have that the caller may see: the labels that are to be equal
// to something.
func (a *allowed) Describe(ctx context.Context) (Info, error) {
	ms, err := a.allow(ctx)
	if err != nil {
		return Info{}, err
	}
	info, err := Describe(ctx, a.next)
	switch {
	case len(ms) == 0:
		return info, err
	case err != nil:
		return Info{}, hide(err)
	}
	restrict(&info, ms)
	return info, nil
}

// MayHoldMetric implements MetricFilter. What metrics others have is not told.
func (a *allowed) MayHoldMetric(string) bool { return true }

// restrict leaves of an Info what is about series that match; see
// allowed.Describe.
func restrict(info *Info, ms []*labels.Matcher) {
	sets, unsaid := matching(info.LabelSets, ms), len(info.LabelSets) == 0
	for _, lset := range info.LabelSets {
		unsaid = unsaid || !matchesAll(ms, lset) && compatible(lset, ms)
	}
	if unsaid || len(sets) == 0 {
		sets = append(sets, equalities(ms))
	}
	info.LabelSets = sets
	info.TSDBs = slices.DeleteFunc(slices.Clone(info.TSDBs), func(t TSDBInfo) bool { return !matchesAll(ms, t.Labels) })
}

// matching returns the label sets that match.
func matching(sets []labels.Labels, ms []*labels.Matcher) []labels.Labels {
	return slices.DeleteFunc(slices.Clone(sets), func(lset labels.Labels) bool { return !matchesAll(ms, lset) })
}

func equalities(ms []*labels.Matcher) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, m := range ms {
		if m.Type == labels.MatchEqual {
			b.Set(m.Name, m.Value)
		}
	}
	return b.Labels()
}

// end passes on of an outcome what the caller may know, and returns the error that
// it gets. own is an error of the caller's own writer.
func end(err, own error, ms []*labels.Matcher, require [][]*labels.Matcher, told, out *Outcome) error {
	seen := &Outcome{}
	hidden := told.Omitted()
	for _, m := range told.Members() {
		if m.LabelSets = matching(m.LabelSets, ms); len(m.LabelSets) > 0 {
			m.OmittedLabelSets, m.Err, m.Warnings = 0, hide(m.Err), hideAll(m.Warnings)
			seen.AddMember(m)
		} else if !m.Complete() {
			hidden++
		}
	}
	for _, w := range hideAll(told.Warnings()) {
		seen.AddWarning(w)
	}
	for _, m := range seen.Members() {
		out.AddMember(m)
	}
	for _, w := range seen.Warnings() {
		out.AddWarning(w)
	}
	out.AddOmitted(hidden)
	switch {
	case own != nil && errors.Is(err, own):
		return err
	case err != nil:
		return hide(err)
	}
	return seen.Require(require)
}

// hide returns an error as the caller may know it: what it can act on, without the
// names of stores and series.
func hide(err error) error {
	if err == nil {
		return nil
	}
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return &LimitError{Limit: limit.Limit, Max: limit.Max}
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, ErrInvalidRequest, ErrUnavailable, ErrDenied} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", ErrWithheld, known)
		}
	}
	return ErrWithheld
}

// hideAll hides warnings. Those about an expression, which name metrics, are no
// loss, and left out.
func hideAll(warnings []error) []error {
	var out []error
	for _, w := range warnings {
		if !IsAnnotation(w) {
			out = append(out, hide(w))
		}
	}
	return out
}

// allowedWriter hides warnings, and remembers the error of the writer behind it.
type allowedWriter struct {
	SeriesWriter
	frames encoded.Writer
	err    error
}

// Send implements SeriesWriter.
func (w *allowedWriter) Send(s *Series) error {
	w.err = w.SeriesWriter.Send(s)
	return w.err
}

// SendFrame implements encoded.Writer.
func (w *allowedWriter) SendFrame(f *encoded.Frame) error {
	w.err = w.frames.SendFrame(f)
	return w.err
}

// Warn implements SeriesWriter.
func (w *allowedWriter) Warn(err error) error {
	if !IsAnnotation(err) {
		w.err = w.SeriesWriter.Warn(hide(err))
	}
	return w.err
}
