package bucketstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// TestWhateverMetaSays has blocks with chunks of very different sizes, of which
// meta.json says how large they are, or nothing, or what is not so. Answers are
// the same.
func TestWhateverMetaSays(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(7, &blocktest.RandomOptions{Series: 40, Start: hour, Step: 15_000, Samples: 1000})
	for name, tc := range map[string]struct {
		change    func(m *block.Meta)
		refetches bool
	}{
		"all":            {change: func(*block.Meta) {}},
		"no stats":       {change: func(m *block.Meta) { m.Thanos.IndexStats = block.IndexStats{} }},
		"no files":       {change: func(m *block.Meta) { m.Thanos.Files = nil }},
		"nothing at all": {change: func(m *block.Meta) { m.Thanos.Files, m.Thanos.IndexStats = nil, block.IndexStats{} }},
		"too small": {change: func(m *block.Meta) {
			m.Thanos.IndexStats = block.IndexStats{SeriesMaxSize: 1, ChunkMaxSize: 1}
		}, refetches: true},
		"too large": {change: func(m *block.Meta) {
			m.Thanos.IndexStats = block.IndexStats{SeriesMaxSize: 1 << 40, ChunkMaxSize: 1 << 40}
		}},
		"segment_files": {change: func(m *block.Meta) {
			segments := m.Segments()
			m.Thanos.SegmentFiles = nil
			for _, f := range segments {
				m.Thanos.SegmentFiles = append(m.Thanos.SegmentFiles, f.RelPath[len("chunks/"):])
			}
			m.Thanos.Files = nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt := newBucket()
			m := put(t, bkt, &blocktest.Options{SegmentSize: 20_000}, series...)
			testutil.Assert(t, len(m.Segments()) > 3)
			tc.change(m)
			b, err := m.Encode()
			testutil.Ok(t, err)
			testutil.Ok(t, bkt.Unwrap().Upload(context.Background(), block.ObjectName(m.ULID, block.MetaFile), bytes.NewReader(b)))
			reg := prometheus.NewRegistry()
			s := open(t, bkt, &bucketstore.Options{Registerer: reg})
			held := []held{{labels.FromStrings("replica", "a"), m, series}}
			for i := range 60 {
				req := &store.SeriesRequest{MinTime: hour + int64(i%7)*hour/2, MaxTime: 100 * hour, Strategy: store.Abort}
				if i%3 == 1 {
					lset := series[i%len(series)].Labels
					lset.Range(func(l labels.Label) { req.Matchers = append(req.Matchers, matcher(labels.MatchEqual, l.Name, l.Value)) })
				}
				if i%3 == 2 {
					req.MaxTime = req.MinTime + 60_000
				}
				a, err := ask(t, s, req)
				testutil.Ok(t, err)
				testutil.Equals(t, expect(held, req), flatten(t, a, name), "%s", req)
			}
			if tc.refetches {
				testutil.Assert(t, metric(t, reg, "thanos_bucket_store_chunk_refetches_total") > 0)
			}
		})
	}
}

// TestChunkOutsideSegments has an index that refers to a segment that is not
// there.
func TestChunkOutsideSegments(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	vs := make([]float64, 4000)
	for i := range vs {
		vs[i] = float64(i*i) / 7
	}
	m := put(t, bkt, &blocktest.Options{SegmentSize: 10_000}, blocktest.Floats(labels.FromStrings("__name__", "m"), 0, 1000, vs...))
	n := len(m.Segments())
	testutil.Assert(t, n > 1)
	m.Thanos.Files = m.Thanos.Files[:1]
	m.Thanos.SegmentFiles = []string{"000001"}
	b, err := m.Encode()
	testutil.Ok(t, err)
	testutil.Ok(t, bkt.Unwrap().Upload(context.Background(), block.ObjectName(m.ULID, block.MetaFile), bytes.NewReader(b)))
	_, err = ask(t, open(t, bkt, nil), &store.SeriesRequest{MaxTime: 100 * hour, Strategy: store.Abort})
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
}

// TestEncodings says which chunks cannot be sent.
func TestEncodings(t *testing.T) {
	t.Parallel()
	good := blocktest.Floats(labels.FromStrings("__name__", "good"), 0, 1000, 1, 2, 3)
	for _, encoding := range []chunkenc.Encoding{9, 100, 254} {
		bad := block.Series{Labels: labels.FromStrings("__name__", "bad"), Chunks: []block.Chunk{{MaxTime: 5, Encoding: encoding, Data: []byte{0, 0}}}}
		bkt := newBucket()
		m := put(t, bkt, &blocktest.Options{Unchecked: true}, bad, good)
		s := open(t, bkt, nil)
		a, err := ask(t, s, &store.SeriesRequest{MaxTime: hour})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{`{__name__="good", replica="a"}`}, a.labels())
		testutil.Equals(t, 1, len(a.warnings))
		var unsupported *block.UnsupportedError
		testutil.Assert(t, errors.As(a.warnings[0], &unsupported) && unsupported.Block == m.ULID, "%v", a.warnings)
		testutil.Equals(t, fmt.Sprintf("chunk encoding %d", encoding), unsupported.What)
		testutil.Equals(t, "chunks/000001", unsupported.File)
		_, err = ask(t, s, &store.SeriesRequest{MaxTime: hour, Strategy: store.Abort})
		testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)
		// Labels do not need chunks.
		a, err = ask(t, s, &store.SeriesRequest{MaxTime: hour, SkipChunks: true, Strategy: store.Abort})
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(a.series))
	}
}
