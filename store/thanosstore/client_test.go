package thanosstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/atomic"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// serverAsClient is a server as the code of Thanos makes a client of one.
func serverAsClient(srv storepb.StoreServer) storepb.StoreClient {
	return storepb.ServerAsClient(srv, atomic.Bool{})
}

// withFilter is a Store that rules out metrics.
type withFilter struct {
	warned
	metric string
}

func (w *withFilter) MayHoldMetric(name string) bool { return name == w.metric }

// A Client says of itself what its Store announced when it was last asked.
func TestClientInfo(t *testing.T) {
	t.Parallel()
	s := &withFilter{metric: "up", warned: warned{info: store.Info{
		LabelSets: []labels.Labels{labels.FromStrings("cluster", "a", "replica", "0")}, MinTime: 5, MaxTime: 10,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{{Labels: labels.FromStrings("cluster", "a"), MinTime: 6, MaxTime: 7}},
	}}}
	c := thanosstore.NewClient("mine", s, nil)
	mint, maxt := c.TimeRange()
	testutil.Equals(t, []int64{math.MinInt64, math.MaxInt64}, []int64{mint, maxt})
	testutil.Assert(t, len(c.LabelSets()) == 0 && !c.SupportsSharding() && !c.SupportsWithoutReplicaLabels())

	check := func() {
		t.Helper()
		mint, maxt = c.TimeRange()
		testutil.Equals(t, []int64{5, 10}, []int64{mint, maxt})
		testutil.Equals(t, fmt.Sprint(s.info.LabelSets), fmt.Sprint(c.LabelSets()))
		testutil.Assert(t, c.SupportsSharding() && c.SupportsWithoutReplicaLabels())
		testutil.Equals(t, int64(7), c.TSDBInfos()[0].MaxTime)
	}
	testutil.Ok(t, c.Sync(t.Context()))
	check()
	s.err = store.ErrUnavailable
	testutil.Equals(t, codes.Unavailable, status.Code(c.Sync(t.Context())))
	check()

	addr, local := c.Addr()
	testutil.Assert(t, addr == "mine" && local && c.String() == "mine")
	testutil.Assert(t, c.Matches([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")}))
	testutil.Assert(t, !c.Matches([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "down")}))
	testutil.Assert(t, c.Matches([]*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "down")}))

	// As a member of Thanos' proxy it describes itself to us, too.
	s.err = nil
	back, err := store.Describe(t.Context(), thanosstore.FromClient(c, nil))
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint(s.info), fmt.Sprint(back))
}

// What a caller would send over a connection arrives, and no more than that.
func TestClientMetadata(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	c := thanosstore.NewClient("", seen, nil)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("thanos-tenant", "whoever asked the caller"))
	_, err := c.LabelNames(metadata.AppendToOutgoingContext(ctx, "THANOS-TENANT", "a"), &storepb.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, "a", seen.names.Tenant)
	_, err = c.LabelValues(ctx, &storepb.LabelValuesRequest{Label: "x"})
	testutil.Ok(t, err)
	testutil.Equals(t, "", seen.values.Tenant)
}

func TestClientStreams(t *testing.T) {
	t.Parallel()
	c := thanosstore.NewClient("", numbered(3, 1, 1), nil)

	t.Run("to the end", func(t *testing.T) {
		t.Parallel()
		stream, err := c.Series(t.Context(), &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		for range 2 {
			_, err = stream.Recv()
			testutil.Ok(t, err)
		}
		var m storepb.SeriesResponse
		testutil.NotOk(t, stream.RecvMsg("text"))
		testutil.Ok(t, stream.RecvMsg(&m))
		testutil.Equals(t, "0002", m.GetSeries().Labels[0].Value)
		for range 2 {
			_, err = stream.Recv()
			testutil.Equals(t, io.EOF, err)
			testutil.Equals(t, io.EOF, stream.RecvMsg(&m))
		}
		testutil.Ok(t, stream.CloseSend())
		testutil.NotOk(t, stream.SendMsg(&m))
	})
	t.Run("closed early", func(t *testing.T) {
		t.Parallel()
		stream, err := c.Series(t.Context(), &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		_, err = stream.Recv()
		testutil.Ok(t, err)
		testutil.Ok(t, stream.CloseSend())
		testutil.Equals(t, context.Canceled, stream.Context().Err())
		_, err = stream.Recv()
		testutil.Equals(t, codes.Canceled, status.Code(err))
	})
	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := c.Series(ctx, &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		cancel()
		for err == nil { // a message may be on its way
			_, err = stream.Recv()
		}
		testutil.Equals(t, codes.Canceled, status.Code(err))
	})
	t.Run("context ends, which the Store does not tell", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		quiet := serves(func(*store.SeriesRequest, store.SeriesWriter) error { <-ctx.Done(); return nil })
		stream, err := thanosstore.NewClient("", quiet, nil).Series(ctx, &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		cancel()
		_, err = stream.Recv()
		testutil.Equals(t, codes.Canceled, status.Code(err))
		testutil.Ok(t, stream.CloseSend())
		_, err = stream.Recv()
		testutil.Equals(t, codes.Canceled, status.Code(err))
	})
	t.Run("context ends, which the Store does not heed", func(t *testing.T) {
		t.Parallel()
		leave := make(chan struct{})
		deaf := serves(func(*store.SeriesRequest, store.SeriesWriter) error { <-leave; return nil })
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := thanosstore.NewClient("", deaf, nil).Series(ctx, &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		cancel()
		_, err = stream.Recv()
		testutil.Equals(t, codes.Canceled, status.Code(err))
		close(leave)
		testutil.Ok(t, stream.CloseSend())
	})
	t.Run("an error", func(t *testing.T) {
		t.Parallel()
		failing := thanosstore.NewClient("", serves(func(*store.SeriesRequest, store.SeriesWriter) error { return errors.New("disk on fire") }), nil)
		stream, err := failing.Series(t.Context(), &storepb.SeriesRequest{})
		testutil.Ok(t, err)
		_, err = stream.Recv()
		testutil.Equals(t, codes.Unknown, status.Code(err))
	})
}
