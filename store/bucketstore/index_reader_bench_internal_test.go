package bucketstore

import (
	"fmt"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
)

// benchIndexed is an index of n series of five labels and 20 chunks.
func benchIndexed(b *testing.B, n int) *indexed {
	b.Helper()
	lsets := make([]labels.Labels, 0, n)
	for i := range n {
		lsets = append(lsets, labels.FromStrings(
			"__name__", fmt.Sprintf("metric_%d", i%100), "instance", fmt.Sprintf("10.0.%d.%d:9100", i/100/250, i/100%250),
			"job", fmt.Sprint("job-", i%7), "pod", fmt.Sprintf("app-%d-x%05x", i%300, i*7919%1_000_003), "zone", fmt.Sprint(i%3),
		))
	}
	slices.SortFunc(lsets, labels.Compare)
	return newIndexed(b, writeIndex(b, lsets, func(int) int { return 20 }), 0)
}

func BenchmarkIndexSeries(b *testing.B) {
	const n = 50_000
	x := benchIndexed(b, n)
	cache, err := NewMemoryCache(256<<20, nil)
	testutil.Ok(b, err)
	for name, c := range map[string]Cache{"cold": nil, "cached": cache} {
		for _, step := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/one in %d", name, step), func(b *testing.B) {
				r := x.reader(b, x.source(b, c, rangeOptions{}), nil)
				all := everySeries(b, r)
				var refs []uint64
				for i := 0; i < len(all); i += step {
					refs = append(refs, all[i])
				}
				b.ReportAllocs()
				x.bkt.Reset()
				calls := 0
				for b.Loop() {
					calls++
					for batch := range slices.Chunk(refs, 5000) {
						err := r.series(b.Context(), batch, func(int, []byte, uint64) error { return nil })
						testutil.Ok(b, err)
					}
				}
				b.ReportMetric(float64(calls*len(refs))/b.Elapsed().Seconds(), "series/s")
				b.ReportMetric(float64(x.bkt.Stats().Requests)/float64(calls), "requests/op")
				b.ReportMetric(float64(x.bkt.Stats().Gets().Read)/float64(calls), "read-B/op")
			})
		}
	}
}

func BenchmarkIndexPostings(b *testing.B) {
	x := benchIndexed(b, 50_000)
	cache, err := NewMemoryCache(256<<20, nil)
	testutil.Ok(b, err)
	for name, ms := range map[string][]*labels.Matcher{
		"equal":  {labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_7"), labels.MustNewMatcher(labels.MatchEqual, "job", "job-3")},
		"regexp": {labels.MustNewMatcher(labels.MatchRegexp, "pod", "app-1.*-x.*7"), labels.MustNewMatcher(labels.MatchNotEqual, "zone", "1")},
		"all":    {labels.MustNewMatcher(labels.MatchNotRegexp, "pod", "app-1.*-x0.*")},
	} {
		for how, c := range map[string]Cache{"cold": nil, "cached": cache} {
			b.Run(name+"/"+how, func(b *testing.B) {
				s := x.source(b, c, rangeOptions{})
				if c == nil {
					s.matches = nil
				}
				r := x.reader(b, s, nil)
				b.ReportAllocs()
				for b.Loop() {
					_, _, err := r.postings(b.Context(), ms)
					testutil.Ok(b, err)
				}
			})
		}
	}
}
