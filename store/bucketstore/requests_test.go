package bucketstore_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// TestRequests counts what calls cost behind a latency: how many answers are
// waited for one after the other, and bytes.
func TestRequests(t *testing.T) {
	const series, chunks = 2000, 12
	var data []block.Series
	for i := range series {
		vs := make([]float64, chunks*store.SamplesPerChunk)
		for j := range vs {
			vs[j] = float64((i + j*j*7919) % 1000)
		}
		lset := labels.FromStrings("__name__", fmt.Sprint("m", i%20), "id", fmt.Sprintf("%04d", i), "hundredth", fmt.Sprint(i%100))
		data = append(data, blocktest.Floats(lset, 0, 15_000, vs...))
	}
	for _, stats := range []bool{true, false} {
		t.Run(fmt.Sprintf("index stats %t", stats), func(t *testing.T) {
			bkt := newBucket()
			for i := range 3 {
				put(t, bkt.Unwrap(), &blocktest.Options{NoIndexStats: !stats, ExternalLabels: labels.FromStrings("block", fmt.Sprint(i))}, data...)
			}
			cache, err := bucketstore.NewMemoryCache(64<<20, nil)
			testutil.Ok(t, err)
			synctest.Test(t, func(t *testing.T) {
				s := open(t, bkt, &bucketstore.Options{Cache: cache})
				bkt.Delay(blocktest.Latency(20 * time.Millisecond))
				defer bkt.Delay(nil)
				for _, tc := range []struct {
					name     string
					matcher  *labels.Matcher
					series   int
					overhead float64 // bytes read, over those of chunks sent, at most
				}{
					{"one", matcher(labels.MatchEqual, "id", "0777"), 3, 1.4},
					{"scattered", matcher(labels.MatchEqual, "hundredth", "7"), 60, 2.5},
					{"a metric", matcher(labels.MatchEqual, "__name__", "m3"), 300, 1.1},
				} {
					for _, warm := range []bool{false, true} {
						bkt.Reset()
						var got sink
						testutil.Ok(t, s.Series(context.Background(), &store.SeriesRequest{
							MaxTime: 100 * hour, Matchers: []*labels.Matcher{tc.matcher},
						}, &got))
						testutil.Equals(t, tc.series, got.series)
						st := bkt.Stats()
						trips := 3
						if warm {
							trips = 1 // postings and series entries are cached
						}
						t.Logf("%s, warm %t: %d trips, %d requests, %d bytes for %d", tc.name, warm, st.Trips, st.Requests, st.Gets().Read, got.bytes)
						testutil.Assert(t, st.Trips <= trips, "%s: %d trips", tc.name, st.Trips)
						if warm {
							testutil.Assert(t, float64(st.Gets().Read) < tc.overhead*float64(got.bytes), "%s: %d bytes read for %d", tc.name, st.Gets().Read, got.bytes)
						}
					}
				}
			})
		})
	}
}

// blockingWriter waits for release with each frame.
type blockingWriter struct {
	sink
	release chan struct{}
}

func (w *blockingWriter) SendFrame(f *encoded.Frame) error {
	<-w.release
	return w.sink.SendFrame(f)
}

// TestReadsAhead has a reader that does not read: of each block, not more than
// three batches are in memory. Then it reads one frame after the other.
func TestReadsAhead(t *testing.T) {
	bkt := newBucket()
	var data []block.Series
	for i := range 3000 {
		vs := make([]float64, 2*store.SamplesPerChunk)
		for j := range vs {
			vs[j] = float64(i*7919%(j+1)) / 3
		}
		data = append(data, blocktest.Floats(labels.FromStrings("__name__", "m", "id", fmt.Sprintf("%04d", i)), 0, 15_000, vs...))
	}
	m := put(t, bkt, nil, data...)
	total := 0
	for _, f := range m.Segments() {
		total += int(f.SizeBytes)
	}
	synctest.Test(t, func(t *testing.T) {
		const batch = 128 << 10
		s := open(t, bkt, &bucketstore.Options{CallBytes: 1})
		bkt.Reset()
		w := &blockingWriter{release: make(chan struct{})}
		done := make(chan error)
		go func() { done <- s.Series(context.Background(), &store.SeriesRequest{MaxTime: hour}, w) }()
		synctest.Wait()
		read := 0
		for _, r := range bkt.Requests() {
			if about(m.ULID, "chunks")(r) {
				read += int(r.Length)
			}
		}
		testutil.Assert(t, read >= 2*batch && read <= 4*batch && read < total/2, "%d of %d bytes read ahead", read, total)
		close(w.release)
		testutil.Ok(t, <-done)
		testutil.Equals(t, len(data), w.series)
	})
}
