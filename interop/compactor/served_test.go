package compactor

import (
	"context"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// served has the real store gateway serve the bucket, and fails unless it has every
// raw sample that was uploaded.
func (b *bucket) served(t testing.TB) {
	t.Helper()
	grpc, http := proc.FreeAddr(t), proc.FreeAddr(t)
	p := proc.Start(t, "store", proc.Binary(t, "thanos"), "store", "--objstore.config-file="+b.config, "--data-dir="+t.TempDir(),
		"--ignore-deletion-marks-delay="+(deleteDelay/2).String(), "--grpc-address="+grpc, "--http-address="+http)
	defer p.Stop()
	proc.AwaitHTTP(t, p, "http://"+http+"/-/ready")
	client, err := grpcstore.Dial(grpc, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, client.Close()) }()
	seen := map[point]bool{}
	proc.Await(t, "gRPC of the gateway", p, proc.Patience, func(ctx context.Context) error {
		_, err := client.Describe(ctx)
		return err
	})
	// To external labels alone, Thanos' gateway answers nothing.
	all := &store.SeriesRequest{MinTime: 0, MaxTime: math.MaxInt64 / 2, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")}}
	for s, err := range store.All(t.Context(), client, all, nil) {
		testutil.Ok(t, err)
		series := labels.NewBuilder(s.Labels).Del("cluster", "replica").Labels().String()
		for _, c := range s.Chunks {
			testutil.Assert(t, c.Aggregated == nil, "raw was asked for")
			data, err := chunkenc.FromData(c.Raw.Encoding, c.Raw.Bytes)
			testutil.Ok(t, err)
			it := data.Iterator(nil)
			for it.Next() != chunkenc.ValNone {
				at, v := it.At()
				seen[point{series, at, v}] = true
			}
			testutil.Ok(t, it.Err())
		}
	}
	missing := 0
	for p := range b.want {
		if !seen[p] {
			missing++
		}
	}
	testutil.Assert(t, missing == 0 && len(seen) == len(b.want), "the gateway has %d samples, and not %d of %d", len(seen), missing, len(b.want))
}
