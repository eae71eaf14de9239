package bucketstore_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformanceOfGolden runs what the kit can say of any store over blocks that
// a real Thanos compacted and downsampled, of each resolution alone and of
// several, in process and over gRPC.
func TestConformanceOfGolden(t *testing.T) {
	t.Parallel()
	only := func(want ...block.Resolution) func(*block.Meta) bool {
		return func(m *block.Meta) bool {
			for _, r := range want {
				if m.Resolution() == r {
					return true
				}
			}
			return false
		}
	}
	for name, tc := range map[string]struct {
		keep        func(*block.Meta) bool
		downsampled bool
	}{
		"raw":              {keep: only(block.Raw)},
		"raw and 1h":       {keep: only(block.Raw, block.OneHour)},
		"all":              {},
		"5m":               {keep: only(block.FiveMinutes), downsampled: true},
		"1h":               {keep: only(block.OneHour), downsampled: true},
		"all, downsampled": {downsampled: true},
	} {
		if !strings.HasPrefix(name, "all") && bucketstore.RaceDivisor > 1 {
			continue // Fewer blocks have no goroutine that all have not.
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt := newBucket()
			metas, err := blocktest.Golden(t.Context(), bkt.Unwrap(), tc.keep)
			testutil.Ok(t, err)
			testutil.Assert(t, len(metas) > 0)
			var s store.Store = open(t, bkt, nil)
			opts := storetest.Options{}
			if tc.downsampled {
				s = downsampled{s.(*bucketstore.Store)}
				// Of histograms there is no minimum and no maximum, and where these
				// alone are asked for, nothing.
				opts.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotRegexp, labels.MetricName, ".*histogram.*|")}
				for _, c := range storetest.Checks() {
					if c.Name != "resolution-raw" && !c.Fixture {
						opts.Checks = append(opts.Checks, c.Name)
					}
				}
			}
			checkAll(t, s, opts)
			opts.Conn = serve(t, s)
			client, err := grpcstore.NewClient(opts.Conn, "gateway", nil)
			testutil.Ok(t, err)
			checkAll(t, client, opts)
		})
	}
}

// downsampled is asked for raw data, and asks for all that downsampled data has:
// without raw blocks there is nothing else.
type downsampled struct{ *bucketstore.Store }

func (s downsampled) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	r := *req
	if r.MaxResolution == 0 {
		r.MaxResolution = time.Hour
	}
	if r.Aggregates == 0 {
		r.Aggregates = store.AggregateCount | store.AggregateSum | store.AggregateMin | store.AggregateMax | store.AggregateCounter
	}
	return s.Store.Series(ctx, &r, w)
}

func checkAll(t *testing.T, s store.Store, opts storetest.Options) {
	t.Helper()
	results, err := storetest.Check(t.Context(), s, &opts)
	testutil.Ok(t, err)
	passed := 0
	for _, r := range results {
		switch r.Status {
		case storetest.Failed:
			t.Error(r)
		case storetest.OK:
			passed++
		case storetest.Skipped:
		}
	}
	testutil.Assert(t, passed > 40, "%d checks passed of %d", passed, len(results))
}

// serve serves a Store in memory until the test ends.
func serve(t *testing.T, s store.Store) *grpc.ClientConn {
	t.Helper()
	srv, err := grpcstore.NewServer(s, nil)
	testutil.Ok(t, err)
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	conn, err := grpc.NewClient("passthrough:///gateway", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	testutil.Ok(t, err)
	t.Cleanup(func() {
		testutil.Ok(t, conn.Close())
		cancel()
		testutil.Ok(t, <-done)
	})
	return conn
}
