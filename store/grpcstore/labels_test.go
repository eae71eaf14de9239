package grpcstore_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// labelStore is a LabelQuerier that records what it was asked.
type labelStore struct {
	plainStore
	names  *store.LabelNamesRequest
	values *store.LabelValuesRequest
	err    error
}

func (l *labelStore) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	l.names = req
	req.Outcome.AddWarning(errors.New("names incomplete"))
	req.Outcome.AddHints(store.Any{TypeURL: "names"})
	return []string{"a", "b", "ü"}, l.err
}

func (l *labelStore) LabelValues(_ context.Context, req *store.LabelValuesRequest) ([]string, error) {
	l.values = req
	req.Outcome.AddWarning(errors.New("values incomplete"))
	req.Outcome.AddHints(store.Any{TypeURL: "first"})
	req.Outcome.AddHints(store.Any{TypeURL: "values"})
	return []string{"", "1", "\U0001f600"}, l.err
}

func TestLabelQueriesReachALabelQuerier(t *testing.T) {
	matchers := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "job", "a|b")}
	for kind, gopts := range servers {
		t.Run(kind, func(t *testing.T) {
			s := &labelStore{}
			c := overMemory(t, s, nil, &grpcstore.ClientOptions{Name: "eu"}, gopts()...)

			out := new(store.Outcome)
			names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: -4, MaxTime: 5, Matchers: matchers, Strategy: store.Abort,
				WithoutReplicaLabels: []string{"replica"}, Limit: 7, StoreHints: &store.Any{TypeURL: "x", Value: []byte("y")}, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"a", "b", "ü"}, names)
			testutil.Equals(t, "store eu: label names: names incomplete", out.Warnings()[0].Error())
			testutil.Equals(t, []store.Any{{TypeURL: "names"}}, out.Hints())
			got := *s.names
			testutil.Equals(t, matchers[0].String(), got.Matchers[0].String())
			got.Matchers, got.Outcome = nil, nil
			testutil.Equals(t, store.LabelNamesRequest{MinTime: -4, MaxTime: 5, Strategy: store.Abort, WithoutReplicaLabels: []string{"replica"},
				Limit: 7, StoreHints: &store.Any{TypeURL: "x", Value: []byte("y")}}, got)

			out = new(store.Outcome)
			values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MinTime: math.MinInt64, MaxTime: math.MaxInt64, Matchers: matchers,
				WithoutReplicaLabels: []string{"replica"}, Limit: 7, StoreHints: &store.Any{TypeURL: "x", Value: []byte("y")}, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"", "1", "\U0001f600"}, values)
			testutil.Equals(t, "store eu: label values: values incomplete", out.Warnings()[0].Error())
			testutil.Equals(t, []store.Any{{TypeURL: "values"}}, out.Hints())
			gotValues := *s.values
			testutil.Equals(t, matchers[0].String(), gotValues.Matchers[0].String())
			gotValues.Matchers, gotValues.Outcome = nil, nil
			testutil.Equals(t, store.LabelValuesRequest{Label: "job", MinTime: math.MinInt64, MaxTime: math.MaxInt64, WithoutReplicaLabels: []string{"replica"},
				Limit: 7, StoreHints: &store.Any{TypeURL: "x", Value: []byte("y")}}, gotValues)
		})
	}
}

func TestLabelQueriesAreDerivedFromSeries(t *testing.T) {
	s := store.Wrap(plainStore{
		{Labels: labels.FromStrings("__name__", "up", "job", "b")},
		{Labels: labels.FromStrings("__name__", "up", "job", "a", "zone", "x")},
	}, store.WithSorting())
	c := overMemory(t, s, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "job", "zone"}, names)
	values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", Limit: 1})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a"}, values)
	_, err = c.LabelValues(t.Context(), &store.LabelValuesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%v", err)
}

// A peer may answer unsorted, with duplicates and beyond the limit.
func TestLabelsOfAPeerAreSorted(t *testing.T) {
	answer := wire.AppendStrings(nil, &wire.Strings{Values: []string{"b", "a", "c", "a"}})
	reply := func([]byte) ([]byte, error) { return answer, nil }
	c := dialRaw(t, rawPeer{unary: map[string]func([]byte) ([]byte, error){"LabelNames": reply, "LabelValues": reply}}, nil)
	names, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b", "c"}, names)
	values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", Limit: 2})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b"}, values)
}

func TestLabelErrorsNameTheStore(t *testing.T) {
	corrupt := func([]byte) ([]byte, error) { return []byte{0x0a, 0x7f}, nil }
	c := dialRaw(t, rawPeer{unary: map[string]func([]byte) ([]byte, error){
		"LabelNames": corrupt, "Info": corrupt,
		"LabelValues": func([]byte) ([]byte, error) { return nil, status.Error(codes.FailedPrecondition, "too old") },
	}}, &grpcstore.ClientOptions{Name: "eu"})
	var e *store.Error
	_, err := c.LabelNames(t.Context(), &store.LabelNamesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrMalformed) && errors.As(err, &e), "%v", err)
	testutil.Equals(t, "eu/label names", e.Store+"/"+e.Op)
	_, err = c.Describe(t.Context())
	testutil.Assert(t, errors.Is(err, store.ErrMalformed) && errors.As(err, &e), "%v", err)
	testutil.Equals(t, "eu/info", e.Store+"/"+e.Op)
	_, err = c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x"})
	testutil.Assert(t, status.Code(err) == codes.FailedPrecondition && errors.As(err, &e), "%v", err)
	testutil.Equals(t, "eu/label values", e.Store+"/"+e.Op)
}
