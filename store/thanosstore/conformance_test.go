package thanosstore_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanos-io/thanos/pkg/info/infopb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// TestConformance runs the kit over a Store that went through Thanos' types and
// back, by each way there is.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, through := range map[string]func(t testing.TB, s store.Store) store.Store{
		"server": func(_ testing.TB, s store.Store) store.Store {
			return thanosstore.FromServer(thanosstore.NewServer(s, nil), nil)
		},
		"member": func(t testing.TB, s store.Store) store.Store {
			c := thanosstore.NewClient("", s, nil)
			testutil.Ok(t, c.Sync(t.Context()))
			return thanosstore.FromClient(c, nil)
		},
		"client of Thanos": func(_ testing.TB, s store.Store) store.Store {
			srv := thanosstore.NewServer(s, nil)
			return thanosstore.FromClient(serverAsClient(srv), &thanosstore.Options{Info: infoOf(srv)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{New: func(t testing.TB, f *storetest.Fixture) store.Store {
				m := memstore.New(nil)
				for _, s := range f.Series() {
					testutil.Ok(t, m.AddSeries(s))
				}
				for _, d := range f.Downsampled() {
					testutil.Ok(t, m.AddDownsampled(d.Resolution, d.Series))
				}
				return through(t, store.Wrap(m, store.WithExternalLabels(f.ExternalLabels())))
			}})
		})
	}
}

func infoOf(srv infopb.InfoServer) func(context.Context) (*infopb.InfoResponse, error) {
	return func(ctx context.Context) (*infopb.InfoResponse, error) { return srv.Info(ctx, new(infopb.InfoRequest)) }
}
