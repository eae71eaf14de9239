package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"

	"github.com/thanos-io/thanos/pkg/extgrpc/snappy"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// frameStore is a Store that sends frames, as our own Stores and fan-outs do.
type frameStore []*encoded.Frame

func (s frameStore) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for _, f := range s {
		if err := wire.Send(w, f); err != nil {
			return err
		}
	}
	return nil
}

// frameCounter is a reader of frames.
type frameCounter struct{ series int }

func (*frameCounter) Send(*store.Series) error { return errors.New("plain series") }
func (*frameCounter) Warn(err error) error     { return err }
func (c *frameCounter) SendFrame(f *encoded.Frame) error {
	c.series += len(f.Series)
	return nil
}

// TestRatioStream streams series with one chunk of 120 samples over loopback
// TCP: Thanos' client and server, and ours, each from what its Stores produce to
// what its merges consume.
func TestRatioStream(t *testing.T) {
	series := kubeSeries(ratioSeries)
	var frames frameStore
	for i := 0; i < len(series); i += ratioBatch {
		f := encoded.NewFrame(nil)
		for _, s := range series[i : i+ratioBatch] {
			v, _ := wire.View(nil, seriesOfThanos(s))
			f.Series = append(f.Series, v)
		}
		frames = append(frames, f)
	}
	for _, batch := range []int{64, 1} {
		p := &thanosPeer{}
		for i := 0; i < len(series); i += batch {
			if batch == 1 {
				p.responses = append(p.responses, storepb.NewSeriesResponse(series[i]))
			} else {
				p.responses = append(p.responses, storepb.NewBatchResponse(series[i:i+batch]))
			}
		}
		thanosAddr, ourAddr := thanosServer(t, p, nil), ourServer(t, frames, grpcstore.GRPCServerOptions(nil))
		for _, compression := range []string{"", snappy.Name} {
			opts := &grpcstore.ClientOptions{BatchSize: batch, Compression: compression}
			cc := grpcConn(t, thanosAddr, compression)
			both, client := ourClient(t, ourAddr, opts), ourClient(t, thanosAddr, opts)

			want, err := thanosAnswer(t, cc, &storepb.SeriesRequest{ResponseBatchSize: int64(batch)})
			testutil.Ok(t, err)
			for _, c := range []*grpcstore.Client{both, client} {
				got, err := ourAnswerOf(t, c, &store.SeriesRequest{})
				testutil.Ok(t, err)
				requireAnswer(t, want, got)
			}
			t.Run(fmt.Sprintf("batch=%d/compression=%s/both ends", batch, compression), func(t *testing.T) {
				thanos, ours, r := streamWork(t, cc, both, batch).Compare(t, *ratioPairs)
				if batch == 64 && compression == "" {
					testutil.Assert(t, ours.Bytes*20 <= thanos.Bytes, "%.0f bytes beside %.0f", ours.Bytes, thanos.Bytes)
					testutil.Assert(t, r.N == 0 || r.Median >= 2, "median %.2f", r.Median)
				}
			})
			t.Run(fmt.Sprintf("batch=%d/compression=%s/client only", batch, compression), func(t *testing.T) {
				streamWork(t, cc, client, batch).Compare(t, *ratioPairs)
			})
		}
	}
}

func streamWork(t *testing.T, cc *grpc.ClientConn, c *grpcstore.Client, batch int) pair.Work {
	return pair.Work{
		Items: ratioSeries,
		Thanos: func() {
			stream, err := storepb.NewStoreClient(cc).Series(t.Context(), &storepb.SeriesRequest{ResponseBatchSize: int64(batch)})
			testutil.Ok(t, err)
			n := 0
			for {
				resp, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				testutil.Ok(t, err)
				if b := resp.GetBatch(); b != nil {
					n += len(b.Series)
				} else {
					n++
				}
			}
			testutil.Equals(t, ratioSeries, n)
		},
		Ours: func() {
			var n frameCounter
			testutil.Ok(t, c.Series(t.Context(), &store.SeriesRequest{}, &n))
			testutil.Equals(t, ratioSeries, n.series)
		},
	}
}
