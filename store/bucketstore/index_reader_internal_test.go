package bucketstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// indexed is a block's index in a bucket, with Prometheus' reader of it.
type indexed struct {
	raw    []byte
	bkt    *blocktest.Bucket
	block  *indexBlock
	oracle *index.Reader
}

// testID is the block of tests that have one.
var testID = ulid.MustParse("01HZZZZZZZZZZZZZZZZZZZZZZZ")

type byteSlice []byte

func (b byteSlice) Len() int                    { return len(b) }
func (b byteSlice) Range(start, end int) []byte { return b[start:end] }

// newIndexed puts an index into a bucket and builds its header.
func newIndexed(t testing.TB, raw []byte, largestSeries int64) *indexed {
	t.Helper()
	x := &indexed{raw: raw, bkt: blocktest.NewBucket(objstore.NewInMemBucket())}
	testutil.Ok(t, x.bkt.Upload(context.Background(), block.ObjectName(testID, block.IndexFile), bytes.NewReader(raw)))
	meta := &block.Meta{ULID: testID, Version: 1}
	meta.Thanos.IndexStats.SeriesMaxSize = largestSeries
	lazy := indexheader.NewPool(x.bkt, t.TempDir(), nil).Block(meta)
	testutil.Ok(t, lazy.Prepare(context.Background()))
	t.Cleanup(func() { testutil.Ok(t, lazy.Close()) })
	x.block = newIndexBlock(meta, lazy)
	oracle, err := index.NewReader(byteSlice(raw), index.DecodePostingsRaw)
	testutil.Ok(t, err)
	x.oracle = oracle
	x.bkt.Reset()
	return x
}

// source returns an indexSource over the bucket; cache may be nil.
func (x *indexed) source(t testing.TB, cache Cache, opts rangeOptions) *indexSource {
	t.Helper()
	sealed, err := newSealedCache(cache, prometheus.NewRegistry())
	testutil.Ok(t, err)
	return &indexSource{ranger: newRanger(x.bkt, opts), cache: sealed, matches: newMatchCache(1 << 20)}
}

// reader returns a reader for one call.
func (x *indexed) reader(t testing.TB, s *indexSource, st *callStats) *indexReader {
	t.Helper()
	r, err := newIndexReader(context.Background(), s, x.block, st)
	testutil.Ok(t, err)
	t.Cleanup(r.close)
	return r
}

// writeIndex writes an index of version 2 as Prometheus does. The i-th series has
// chunksOf(i) chunks.
func writeIndex(t testing.TB, lsets []labels.Labels, chunksOf func(i int) int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	w, err := index.NewWriter(context.Background(), path)
	testutil.Ok(t, err)
	symbols := map[string]struct{}{"": {}}
	for _, l := range lsets {
		l.Range(func(l labels.Label) { symbols[l.Name], symbols[l.Value] = struct{}{}, struct{}{} })
	}
	sorted := make([]string, 0, len(symbols))
	for s := range symbols {
		sorted = append(sorted, s)
	}
	slices.Sort(sorted)
	for _, s := range sorted {
		testutil.Ok(t, w.AddSymbol(s))
	}
	ref := chunks.ChunkRef(8)
	for i, l := range lsets {
		var metas []chunks.Meta
		for j := range chunksOf(i) {
			metas = append(metas, chunks.Meta{Ref: ref, MinTime: int64(1000 * j), MaxTime: int64(1000*j + 900)})
			ref += 100
		}
		testutil.Ok(t, w.AddSeries(storage.SeriesRef(i), l, metas...))
	}
	testutil.Ok(t, w.Close())
	b, err := os.ReadFile(path)
	testutil.Ok(t, err)
	return b
}

func oneChunk(int) int { return 1 }

// randomSeries returns n series of few labels, some of which are absent.
func randomSeries(rnd *rand.Rand, n int) []labels.Labels {
	out := make([]labels.Labels, 0, n)
	for i := range n {
		b := labels.NewScratchBuilder(0)
		b.Add("__name__", "m")
		for _, name := range []string{"a", "b", "c"} {
			if v := []string{"", "x", "y", "xy", "xyz", "foo", "bar", "é"}[rnd.IntN(8)]; v != "" {
				b.Add(name, v)
			}
		}
		b.Add("i", fmt.Sprintf("i%04d", i))
		b.Sort()
		out = append(out, b.Labels())
	}
	slices.SortFunc(out, labels.Compare)
	return out
}

// matcherValues are what random matchers ask for.
var matcherValues = []string{
	"", "x", "y", "xy", "absent", ".*", ".+", "x.*", "x.+", "x|y", "x|", "|", "x?", "xy?z?", "[xy].*", ".*y", "(x|foo)", "(?i:X)", "(?i:FOO)|bar",
	"é", ".", "x.", "i000[0-9]", "i00.*", "i0000|i0001|i0002|absent", "^x$", "fo{2}", "()", "[^x]*", "(?s).*", "(?s).+", "m", "foo|bar|.*z", "x|y|xy|xyz|foo|bar|é",
}

func randomMatchers(t testing.TB, rnd *rand.Rand) []*labels.Matcher {
	t.Helper()
	var ms []*labels.Matcher
	for range 1 + rnd.IntN(4) {
		name := []string{"a", "a", "b", "c", "i", "__name__", "absent"}[rnd.IntN(7)]
		m, err := labels.NewMatcher(labels.MatchType(rnd.IntN(4)), name, matcherValues[rnd.IntN(len(matcherValues))])
		testutil.Ok(t, err)
		ms = append(ms, m)
	}
	return ms
}

// want returns what Prometheus selects, as offsets.
func (x *indexed) want(t testing.TB, unit uint64, ms []*labels.Matcher) []uint64 {
	t.Helper()
	p, err := tsdb.PostingsForMatchers(context.Background(), oracleIndex{x.oracle}, slices.Clone(ms)...)
	testutil.Ok(t, err)
	refs, err := index.ExpandPostings(p)
	testutil.Ok(t, err)
	out := make([]uint64, len(refs))
	for i, r := range refs {
		out[i] = uint64(r) * unit
	}
	return out
}

// oracleIndex is what PostingsForMatchers asks for beside an index.Reader.
type oracleIndex struct{ *index.Reader }

func (o oracleIndex) ShardedPostings(p index.Postings, i, n uint64) index.Postings {
	return o.Reader.ShardedPostings(p, i, n)
}

func (o oracleIndex) LabelValueFor(context.Context, storage.SeriesRef, string) (string, error) {
	return "", errors.ErrUnsupported
}

func (o oracleIndex) LabelNamesFor(ctx context.Context, p index.Postings) ([]string, error) {
	return o.Reader.LabelNamesFor(ctx, p)
}

// labelsOf decodes the labels of a series with the reader's symbols.
func labelsOf(t testing.TB, x *indexReader, entry []byte) labels.Labels {
	t.Helper()
	d := index.Decoder{LookupSymbol: func(_ context.Context, ref uint32) (string, error) {
		s, err := x.symbol(ref)
		return string(s), err
	}}
	b := labels.NewScratchBuilder(0)
	var metas []chunks.Meta
	testutil.Ok(t, d.Series(entry, &b, &metas))
	return b.Labels()
}

// selected returns the series that match: postings, less those that the
// matchers that are left exclude.
func selected(t testing.TB, x *indexReader, ms []*labels.Matcher) (refs []uint64, lsets []string, lazy bool) {
	t.Helper()
	candidates, rest, err := x.postings(context.Background(), ms)
	testutil.Ok(t, err)
	testutil.Assert(t, slices.IsSorted(candidates))
	testutil.Ok(t, x.series(context.Background(), candidates, func(i int, entry []byte, _ uint64) error {
		l := labelsOf(t, x, entry)
		for _, m := range rest {
			if !m.Matches(l.Get(m.Name)) {
				return nil
			}
		}
		refs, lsets = append(refs, candidates[i]), append(lsets, l.String())
		return nil
	}))
	if refs == nil {
		refs = []uint64{}
	}
	return refs, lsets, len(rest) > 0
}

// TestPostingsAgainstPrometheus asks for random matchers, with and without
// caches and lazy expansion, for both versions of the index.
func TestPostingsAgainstPrometheus(t *testing.T) {
	t.Parallel()
	v1, err := os.ReadFile("../../internal/indexheader/testdata/index_format_v1/index")
	testutil.Ok(t, err)
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, raw := range map[string][]byte{
		"v1": v1,
		"v2": writeIndex(t, randomSeries(rnd, 400), oneChunk),
	} {
		x := newIndexed(t, raw, 0)
		cache, err := NewMemoryCache(1<<20, nil)
		testutil.Ok(t, err)
		for how, s := range map[string]*indexSource{
			"plain":  x.source(t, nil, rangeOptions{}),
			"lazy":   x.source(t, nil, rangeOptions{requestCost: 1}),
			"cached": x.source(t, cache, rangeOptions{requestCost: 500}),
		} {
			s.lazy.disabled = how == "plain"
			t.Run(name+"/"+how, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(3, 4))
				some, lazily := 0, 0
				for range 600 / RaceDivisor {
					ms := randomMatchers(t, rnd)
					if name == "v1" {
						for i, m := range ms { // The labels that are there.
							ms[i] = labels.MustNewMatcher(m.Type, []string{"foo", "bar", "absent"}[i%3], m.Value)
						}
					}
					r := x.reader(t, s, nil)
					got, _, lazy := selected(t, r, ms)
					want := x.want(t, r.header.SeriesUnit(), ms)
					if len(want) > 0 {
						some++
					}
					if lazy {
						lazily++
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%v: %d series, not %d", ms, len(got), len(want))
					}
				}
				testutil.Assert(t, some > 50/RaceDivisor, "%d answers", some)
				// Few cases need not have one that is lazy.
				testutil.Assert(t, lazily > 0 == (how != "plain") || lazily == 0 && RaceDivisor > 1, "%d lazily", lazily)
			})
		}
	}
}

// TestPostingsOneTrip holds the postings of a call to one trip, and a second call
// to none.
func TestPostingsOneTrip(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	x := newIndexed(t, writeIndex(t, randomSeries(rnd, 400), oneChunk), 0)
	cache, err := NewMemoryCache(1<<20, nil)
	testutil.Ok(t, err)
	s := x.source(t, cache, rangeOptions{requestCost: 100})
	s.lazy.disabled = true
	ms := []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "a", "x"),
		labels.MustNewMatcher(labels.MatchRegexp, "b", "x.*|y"),
		labels.MustNewMatcher(labels.MatchNotEqual, "c", "foo"),
	}
	st := new(callStats)
	_, _, err = x.reader(t, s, st).postings(t.Context(), ms)
	testutil.Ok(t, err)
	testutil.Assert(t, st.kinds[kindPostings].requests.Load() > 0)
	testutil.Equals(t, int64(x.bkt.Stats().Requests), st.kinds[kindPostings].requests.Load())
	testutil.Equals(t, x.bkt.Stats().Gets().Read, st.kinds[kindPostings].fetchedBytes.Load())
	// The order of matchers is none of the cache's concern.
	slices.Reverse(ms)
	x.bkt.Reset()
	_, _, err = x.reader(t, s, st).postings(t.Context(), ms)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, x.bkt.Stats().Requests)
	// Nor which others a matcher stood beside.
	_, _, err = x.reader(t, s, st).postings(t.Context(), ms[:2])
	testutil.Ok(t, err)
	testutil.Equals(t, 0, x.bkt.Stats().Requests)
}

// TestPostingsLazily does not fetch a list that is much larger than the series
// that it could exclude.
func TestPostingsLazily(t *testing.T) {
	t.Parallel()
	var lsets []labels.Labels
	for i := range 20_000 {
		lsets = append(lsets, labels.FromStrings("big", fmt.Sprint(i%2), "id", fmt.Sprintf("%06d", i), "mod", fmt.Sprint(i%10)))
	}
	slices.SortFunc(lsets, labels.Compare)
	x := newIndexed(t, writeIndex(t, lsets, oneChunk), 0)
	s := x.source(t, nil, rangeOptions{})
	st := new(callStats)
	refs, rest, err := x.reader(t, s, st).postings(t.Context(), []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "big", "1"),
		labels.MustNewMatcher(labels.MatchEqual, "id", "000007"),
	})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(refs))
	testutil.Equals(t, 1, len(rest))
	testutil.Equals(t, "big", rest[0].Name)
	testutil.Equals(t, int64(16), st.kinds[kindPostings].fetchedBytes.Load())
	testutil.Equals(t, int64(4*10_000+12), st.lazyBytes.Load())
	// Where much would be excluded, it is fetched.
	refs, rest, err = x.reader(t, s, st).postings(t.Context(), []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "big", "1"),
		labels.MustNewMatcher(labels.MatchRegexp, "mod", "1|3|5|7"),
	})
	testutil.Ok(t, err)
	testutil.Equals(t, 8_000, len(refs))
	testutil.Equals(t, 0, len(rest))
}

func TestPostingsCorrupt(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	raw := writeIndex(t, randomSeries(rnd, 40), oneChunk)
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "x")}
	for name, at := range map[string]int64{"length": 0, "count": 4, "entry": 9, "checksum": -1} {
		x := newIndexed(t, slices.Clone(raw), 0)
		r := x.reader(t, x.source(t, nil, rangeOptions{}), nil)
		v, _ := r.header.Values("a")
		i, ok := v.Search("x")
		testutil.Assert(t, ok)
		where := v.Postings(i).Range()
		if at < 0 {
			at += where.Size
		}
		bad := slices.Clone(raw)
		bad[where.Off+at] ^= 0x20
		testutil.Ok(t, x.bkt.Upload(t.Context(), block.ObjectName(testID, block.IndexFile), bytes.NewReader(bad)))
		_, _, err := r.postings(t.Context(), ms)
		var corrupt *block.CorruptError
		testutil.Assert(t, errors.As(err, &corrupt), "%s: %v", name, err)
		testutil.Assert(t, strings.Contains(err.Error(), fmt.Sprintf("postings at %d", where.Off)), "%v", err)
	}
}

// TestSeriesOutside has a list with an entry that is no series: it is
// corrupt, and not read.
func TestSeriesOutside(t *testing.T) {
	t.Parallel()
	x := newIndexed(t, writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 10), oneChunk), 0)
	r := x.reader(t, x.source(t, nil, rangeOptions{}), nil)
	for _, ref := range []uint64{0, 1 << 40, uint64(r.header.Series().Off + r.header.Series().Size)} {
		err := r.series(t.Context(), []uint64{ref}, func(int, []byte, uint64) error { return nil })
		testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%d: %v", ref, err)
	}
	testutil.Equals(t, 0, x.bkt.Stats().Requests)
}

// FuzzMatchers compares any two matchers with Prometheus.
func FuzzMatchers(f *testing.F) {
	for i, v := range matcherValues {
		f.Add(uint8(i), v, uint8(i/4), matcherValues[(i*7)%len(matcherValues)])
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	x := newIndexed(f, writeIndex(f, randomSeries(rnd, 100), oneChunk), 0)
	s := x.source(f, nil, rangeOptions{requestCost: 1})
	f.Fuzz(func(t *testing.T, i uint8, v string, j uint8, w string) {
		names := []string{"a", "b", "c", "i", "__name__", "absent", "é"}
		var ms []*labels.Matcher
		for k, v := range map[uint8]string{i: v, j: w} {
			m, err := labels.NewMatcher(labels.MatchType(k%4), names[int(k/4)%len(names)], v)
			if err != nil {
				return
			}
			ms = append(ms, m)
		}
		got, _, _ := selected(t, x.reader(t, s, nil), ms)
		if want := x.want(t, 16, ms); !slices.Equal(got, want) {
			t.Fatalf("%v: %d series, not %d", ms, len(got), len(want))
		}
	})
}
