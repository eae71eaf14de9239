package selecting_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanos-io/thanos/pkg/component"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// stripped has the replica labels removed by whoever is asked, as Thanos' querier
// has. Its answers tell replicas apart no more.
func stripped(s store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.WithoutReplicaLabels = []string{"replica"}
		return s.Series(ctx, &r, w)
	})
}

// storeOf is a Store of ours that keeps the labels that a replica has, and removes
// them and sorts again if asked to.
func storeOf(r *replica) store.Store {
	full := &member{full: frames(r.series)}
	full.stripped = full.full
	return store.Wrap(full, store.WithExternalLabels(labels.EmptyLabels()))
}

// tsdbOf is Thanos' store over a TSDB with the samples of a replica.
func tsdbOf(t testing.TB, r *replica) storepb.StoreServer {
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration, opts.MinBlockDuration, opts.MaxBlockDuration = 10*span, 4*span, 4*span // one head, series after series
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range r.series {
		app := db.Appender(t.Context())
		b.Reset(s.Labels)
		lset := b.Del("replica", "cluster").Labels()
		for it := (chained(s.Chunks)).Iterator(nil); it.Next() != 0; {
			ts, v := it.At()
			_, err := app.Append(0, lset, ts, v)
			testutil.Ok(t, err)
		}
		testutil.Ok(t, app.Commit())
	}
	return thanosstore.NewTSDBStore(nil, db, component.Sidecar, labels.FromStrings("cluster", r.cluster, "replica", r.name))
}

// TestIdentityCost measures what it takes to select with replica labels left to
// the querier beside having them removed at the stores, over members of ours and
// of Thanos', directly and through a fan-out or proxy of the same kind. It is the
// same querier, and the same algorithm, which can only guess who is who if the
// labels are gone.
func TestIdentityCost(t *testing.T) {
	for _, offset := range []int64{0, 7000} {
		rs := replicasOf(t, offset, true)
		var ours, thanos []string
		var clients []storepb.StoreClient
		for _, r := range rs {
			ours = append(ours, serveOurs(t, storeOf(r)))
			thanos = append(thanos, serveThanos(t, tsdbOf(t, r)))
			clients = append(clients, dialThanos(t, thanos[len(thanos)-1]))
		}
		dialled := func(addrs []string, c *counted) (out []store.Store) {
			for _, a := range addrs {
				out = append(out, dialOurs(t, a, c))
			}
			return out
		}
		for _, way := range []struct {
			name  string
			addrs []string
		}{
			{"ours", ours},
			{"Thanos'", thanos},
			{"ours, through a fan-out", []string{serveOurs(t, fanOver(t, dialled(ours, nil)))}},
			{"Thanos', through a proxy", []string{serveThanos(t, proxyOver(clients))}},
		} {
			t.Run(fmt.Sprintf("%s/offset=%d", way.name, offset), func(t *testing.T) {
				c := &counted{}
				all := fanOver(t, dialled(way.addrs, c))
				received := func(s store.Store) (_ int64, out *store.Outcome) {
					before := c.bytes.Load()
					out = &store.Outcome{}
					drain(t, oursOver(t, s, &query.QueryOptions{Outcome: out}), "rate")()
					return c.bytes.Load() - before, out
				}
				removed, guessed := received(stripped(all))
				kept, known := received(all)
				t.Logf("bytes received: %d with the labels removed, %d with the labels kept: %+.1f%%", removed, kept, 100*float64(kept-removed)/float64(removed))
				t.Logf("of %d series, %d were merged of tracks, %d with the labels kept", 2*perStore, guessed.Unidentified(), known.Unidentified())
				testutil.Equals(t, int64(0), known.Unidentified())
				testutil.Equals(t, 2, len(known.Replicas()))
				equal(t, followed(t, rs), allOf(t, oursOver(t, all, nil), "rate"))
				testutil.Assert(t, offset == 0 || guessed.Unidentified() > 0)

				t.Log(`"thanos" is with the labels removed, "ours" with the labels kept`)
				pair.Work{
					Thanos: drain(t, oursOver(t, stripped(all), nil), "rate"), Ours: drain(t, oursOver(t, all, nil), "rate"), Items: inAllStores,
				}.Compare(t, *ratioPairs)
			})
		}
	}
}
