package bucketstore_test

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// newBucket returns a bucket in memory that counts and can be made to fail.
func newBucket() *blocktest.Bucket { return blocktest.NewBucket(objstore.NewInMemBucket()) }

// put builds a block and uploads it. It returns its meta.json in the bucket.
func put(t testing.TB, bkt objstore.Bucket, opts *blocktest.Options, series ...block.Series) *block.Meta {
	t.Helper()
	dir := blocktest.Build(t, t.TempDir(), opts, series...)
	m, err := block.Upload(context.Background(), bkt, dir, &block.UploadOptions{AllowNoLabels: true})
	testutil.Ok(t, err)
	return m
}

// open opens a Store that is closed at the end of the test. Memory that it has
// given up is overwritten.
func open(t testing.TB, bkt objstore.BucketReader, opts *bucketstore.Options) *bucketstore.Store {
	t.Helper()
	s, err := bucketstore.Open(context.Background(), bkt, t.TempDir(), opts)
	testutil.Ok(t, err)
	bucketstore.Poison(s)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	return s
}

// stored returns series as blocks hold them.
func stored(series ...*store.Series) []block.Series {
	out := make([]block.Series, len(series))
	for i, s := range series {
		out[i].Labels = s.Labels
		for _, c := range s.Chunks {
			x := block.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Raw.Encoding, Data: c.Raw.Bytes}
			if a := c.Aggregated; a != nil {
				var parts aggr.Chunk
				for k, d := range map[aggr.Kind]store.ChunkData{aggr.Count: a.Count, aggr.Sum: a.Sum, aggr.Min: a.Min, aggr.Max: a.Max, aggr.CounterKind: a.Counter} {
					parts[k] = aggr.Sub{Encoding: d.Encoding, Data: d.Bytes}
				}
				x.Encoding, x.Data = aggr.Encoding, parts.Append(nil)
			}
			out[i].Chunks = append(out[i].Chunks, x)
		}
	}
	return out
}

// split divides chunks by whether they begin before a time.
func split(series []block.Series, at int64) (before, after []block.Series) {
	for _, s := range series {
		var parts [2][]block.Chunk
		for _, c := range s.Chunks {
			i := 0
			if c.MinTime >= at {
				i = 1
			}
			parts[i] = append(parts[i], c)
		}
		if len(parts[0]) > 0 {
			before = append(before, block.Series{Labels: s.Labels, Chunks: parts[0]})
		}
		if len(parts[1]) > 0 {
			after = append(after, block.Series{Labels: s.Labels, Chunks: parts[1]})
		}
	}
	return before, after
}

// putFixture puts all of a fixture into blocks, its raw data into as many as
// there are times to cut at and one more.
func putFixture(t testing.TB, bkt objstore.Bucket, f *storetest.Fixture, cuts ...int64) {
	t.Helper()
	opts := blocktest.Options{ExternalLabels: f.ExternalLabels(), NoExternalLabels: f.ExternalLabels().IsEmpty()}
	rest := stored(f.Series()...)
	for _, at := range cuts {
		var before []block.Series
		before, rest = split(rest, at)
		put(t, bkt, &opts, before...)
	}
	put(t, bkt, &opts, rest...)
	for _, d := range f.Downsampled() {
		o := opts
		o.Resolution = block.Resolution(d.Resolution.Milliseconds())
		put(t, bkt, &o, stored(d.Series)...)
	}
}

// answer is what a Store sent and warned of.
type answer struct {
	series   []*store.Series
	warnings []error
	outcome  *store.Outcome
}

// ask returns the answer to a request.
func ask(t testing.TB, s store.Store, req *store.SeriesRequest) (*answer, error) {
	t.Helper()
	a := &answer{outcome: &store.Outcome{}}
	for series, err := range store.All(context.Background(), s, req, a.outcome) {
		if err != nil {
			return a, err
		}
		a.series = append(a.series, series)
	}
	a.warnings = a.outcome.Warnings()
	return a, nil
}

func (a *answer) labels() (out []string) {
	for _, s := range a.series {
		out = append(out, s.Labels.String())
	}
	return out
}

func matcher(typ labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(typ, name, value)
}

func uvarint(b []byte) (x, n int) {
	v, n := binary.Uvarint(b)
	return int(v), n
}

// putChecksum writes the checksum of data as segments have it.
func putChecksum(data, to []byte) {
	binary.BigEndian.PutUint32(to, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}
