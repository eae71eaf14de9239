package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/thanoskit/thanoskit/internal/via"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// teller is a store that tells what became of its members.
type teller struct {
	members []store.MemberOutcome
	hints   []store.Any
}

func (s *teller) tell(o *store.Outcome) {
	for _, m := range s.members {
		o.AddMember(m)
	}
	for _, h := range s.hints {
		o.AddHints(h)
	}
}

func (s *teller) Series(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
	s.tell(req.Outcome)
	return nil
}

func (s *teller) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	s.tell(req.Outcome)
	return []string{"a"}, nil
}

func (s *teller) LabelValues(_ context.Context, req *store.LabelValuesRequest) ([]string, error) {
	s.tell(req.Outcome)
	return []string{"1"}, nil
}

// calls makes each kind of call, with an Outcome or without.
var calls = map[string]func(context.Context, *grpcstore.Client, *store.Outcome) error{
	"series": func(ctx context.Context, c *grpcstore.Client, o *store.Outcome) error {
		return c.Series(ctx, &store.SeriesRequest{MaxTime: 1, Outcome: o}, &collector{})
	},
	"label names": func(ctx context.Context, c *grpcstore.Client, o *store.Outcome) error {
		_, err := c.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 1, Outcome: o})
		return err
	},
	"label values": func(ctx context.Context, c *grpcstore.Client, o *store.Outcome) error {
		_, err := c.LabelValues(ctx, &store.LabelValuesRequest{MaxTime: 1, Label: "a", Outcome: o})
		return err
	},
}

// TestReceipts sends what became of members through two servers.
func TestReceipts(t *testing.T) {
	note := fmt.Errorf("%w: might not be a counter", annotations.PromQLInfo)
	s := &teller{hints: []store.Any{{TypeURL: "one"}, {TypeURL: "two", Value: []byte("x")}}}
	s.members = []store.MemberOutcome{
		{
			Member: "eu", LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu"), labels.EmptyLabels()}, Warnings: []error{note},
			Series: 1, Chunks: 2, Bytes: 3, FirstSeries: 4, Duration: time.Minute,
		},
		{Member: "old", Status: store.Pruned, Reason: store.PrunedByTime},
		{Member: "slow", Status: store.TimedOut, Err: fmt.Errorf("wait budget used up: %w", context.DeadlineExceeded)},
		{Member: "loop", Status: store.Failed, Err: &store.LoopError{Path: []string{"a", "b", "a"}}},
		{Member: "odd", Status: store.Failed, Err: errors.New("disk on fire"), Warnings: []error{errors.New("smoke")}},
	}
	near := overMemory(t, s, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	far := overMemory(t, near, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			var out store.Outcome
			testutil.Ok(t, call(t.Context(), far, &out))
			got := out.Members()
			testutil.Equals(t, len(s.members), len(got))
			for i, want := range s.members {
				requireSameError(t, want.Err, got[i].Err, context.DeadlineExceeded, store.ErrLoop)
				testutil.Equals(t, len(want.Warnings), len(got[i].Warnings))
				for j := range want.Warnings {
					requireSameError(t, want.Warnings[j], got[i].Warnings[j], annotations.PromQLInfo)
				}
				testutil.Equals(t, want.Complete(), got[i].Complete())
				testutil.Equals(t, fmt.Sprint(want.LabelSets), fmt.Sprint(got[i].LabelSets))
				want.Err, want.Warnings, want.LabelSets = nil, nil, nil
				got[i].Err, got[i].Warnings, got[i].LabelSets = nil, nil, nil
				testutil.Equals(t, want, got[i])
			}
			testutil.Equals(t, s.hints, out.Hints())
			testutil.Equals(t, 0, out.Omitted())
		})
	}
}

// requireSameError compares texts, and which of some conditions errors are.
func requireSameError(t *testing.T, want, got error, conditions ...error) {
	t.Helper()
	testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(got))
	for _, c := range conditions {
		testutil.Equals(t, errors.Is(want, c), errors.Is(got, c))
	}
}

func TestAReceiptHasToBeAskedFor(t *testing.T) {
	s := &teller{members: []store.MemberOutcome{{Member: "eu"}}, hints: []store.Any{{TypeURL: "one"}, {TypeURL: "two"}}}
	responses, err := rawSeries(t, s, nil, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(responses)) // the hints alone, as a client of Thanos gets them
}

func TestAReceiptIsBounded(t *testing.T) {
	s := &teller{}
	const members = 5000
	for i := range members {
		m := store.MemberOutcome{Member: fmt.Sprintf("%04d", i), Reason: strings.Repeat("x", 100)}
		if i%100 == 99 {
			m.Status, m.Err = store.Failed, errors.New(strings.Repeat("\xff", 1<<20))
		}
		s.members = append(s.members, m)
	}
	c := overMemory(t, s, nil, &grpcstore.ClientOptions{MaxRecvSize: 300 << 10}, grpcstore.GRPCServerOptions(nil)...)
	var out store.Outcome
	testutil.Ok(t, calls["series"](t.Context(), c, &out))
	failed := 0
	for _, m := range out.Members() {
		if m.Status == store.Failed {
			failed++
		}
	}
	testutil.Equals(t, members/100, failed)
	testutil.Equals(t, members, len(out.Members())+out.Omitted())
	testutil.Assert(t, out.Omitted() > 0)
}

// TestLabelSetsOfAReceiptAreBounded: one failed member of very many labels leaves
// room for others, and may have been whoever is required.
func TestLabelSetsOfAReceiptAreBounded(t *testing.T) {
	many := store.MemberOutcome{Member: "q/many", Status: store.Failed, Err: errors.New("disk on fire"), OmittedLabelSets: 1}
	for i := range 20_000 {
		many.LabelSets = append(many.LabelSets, labels.FromStrings("cluster", fmt.Sprintf("%05d", i)))
	}
	eu := store.MemberOutcome{Member: "q/eu", LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu")}}
	c := overMemory(t, &teller{members: []store.MemberOutcome{many, eu}}, nil, nil, grpcstore.GRPCServerOptions(nil)...)
	var out store.Outcome
	testutil.Ok(t, calls["series"](t.Context(), c, &out))
	got := out.Members()
	testutil.Equals(t, 2, len(got))
	testutil.Assert(t, len(got[0].LabelSets) > 100, "%d", len(got[0].LabelSets))
	testutil.Equals(t, 20_001, len(got[0].LabelSets)+got[0].OmittedLabelSets)
	err := out.Require([][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "cluster", "eu")}})
	testutil.Assert(t, errors.Is(err, store.ErrIncomplete) && strings.Contains(err.Error(), "q/many"), "%v", err)
}

// TestWarningsWithoutEnd: what a caller keeps of a peer beside series is bounded.
func TestWarningsWithoutEnd(t *testing.T) {
	for name, m := range map[string][]byte{
		"warnings": {2<<3 | 2, 0}, "hints": wire.AppendHints(nil, &store.Any{TypeURL: "x", Value: make([]byte, 1<<10)}),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, rawPeer{series: func(_ context.Context, _ []byte, send func([]byte) error) error {
				for {
					if err := send(m); err != nil {
						return err
					}
				}
			}}, nil)
			var out store.Outcome
			err := calls["series"](t.Context(), c, &out)
			testutil.Assert(t, errors.Is(err, store.ErrLimit), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), "peer"), "%v", err)
		})
	}
}

// TestRequestsCarryMetadata sends it through two servers, of which the second
// is told of the key.
func TestRequestsCarryMetadata(t *testing.T) {
	type seen struct {
		tenant   string
		metadata map[string][]string
		path     []string
	}
	var got seen
	s := &metadataStore{func(ctx context.Context, tenant string, md map[string][]string) {
		got = seen{tenant, md, via.From(ctx)}
	}}
	opts := &grpcstore.ServerOptions{MetadataKeys: []string{"request-id"}}
	near := overMemory(t, s, opts, nil, grpcstore.GRPCServerOptions(nil)...)
	far := overMemory(t, near, opts, nil, grpcstore.GRPCServerOptions(nil)...)
	md := map[string][]string{"request-id": {"1", "2"}, "other": {"3"}}
	for name, call := range map[string]func(ctx context.Context, tenant string, md map[string][]string) error{
		"series": func(ctx context.Context, tenant string, md map[string][]string) error {
			return far.Series(ctx, &store.SeriesRequest{MaxTime: 1, Tenant: tenant, Metadata: md}, &collector{})
		},
		"label names": func(ctx context.Context, tenant string, md map[string][]string) error {
			_, err := far.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 1, Tenant: tenant, Metadata: md})
			return err
		},
		"label values": func(ctx context.Context, tenant string, md map[string][]string) error {
			_, err := far.LabelValues(ctx, &store.LabelValuesRequest{MaxTime: 1, Label: "a", Tenant: tenant, Metadata: md})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			testutil.Ok(t, call(via.With(t.Context(), "global", "\x00 über"), "team-a", md))
			testutil.Equals(t, seen{"team-a", map[string][]string{"request-id": {"1", "2"}}, []string{"global", "\x00 über"}}, got)
			testutil.Ok(t, call(t.Context(), "", nil))
			testutil.Equals(t, seen{}, got)
		})
	}
	_, err := far.Describe(via.With(t.Context(), "global"))
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"global"}, got.path)
}

// metadataStore tells what calls bring along.
type metadataStore struct {
	told func(ctx context.Context, tenant string, md map[string][]string)
}

func (s *metadataStore) Series(ctx context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
	s.told(ctx, req.Tenant, req.Metadata)
	return nil
}

func (s *metadataStore) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	s.told(ctx, req.Tenant, req.Metadata)
	return nil, nil
}

func (s *metadataStore) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	s.told(ctx, req.Tenant, req.Metadata)
	return nil, nil
}

func (s *metadataStore) Describe(ctx context.Context) (store.Info, error) {
	s.told(ctx, "", nil)
	return store.Info{}, nil
}

// TestMetadataOfTheCaller is what a caller put into the context by itself.
func TestMetadataOfTheCaller(t *testing.T) {
	var got []string
	s := &metadataStore{func(_ context.Context, tenant string, md map[string][]string) {
		got = append([]string{tenant}, md["request-id"]...)
	}}
	opts := &grpcstore.ServerOptions{MetadataKeys: []string{"request-id"}}
	c := overMemory(t, s, opts, nil, append(grpcstore.GRPCServerOptions(nil), grpc.MaxConcurrentStreams(1))...)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "request-id", "7", "thanos-tenant", "of the context")
	for range 2 { // what a call adds stays its own
		testutil.Ok(t, c.Series(ctx, &store.SeriesRequest{MaxTime: 1, Metadata: map[string][]string{"request-id": {"8"}}}, &collector{}))
		testutil.Equals(t, []string{"of the context", "7", "8"}, got)
	}
	testutil.Ok(t, c.Series(ctx, &store.SeriesRequest{MaxTime: 1, Tenant: "of the request"}, &collector{}))
	testutil.Equals(t, []string{"of the request", "7"}, got)
}
