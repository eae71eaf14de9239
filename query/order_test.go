package query_test

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/query"
)

// stripped are label sets that were in order before a replica label went, which
// stood first, last or between others.
func stripped(r *rand.Rand, replicas, n int) (keys [][]byte) {
	var all []labels.Labels
	name := []string{"A", "m", "z"}[r.Intn(3)]
	for i := range n {
		for k := range replicas {
			if r.Intn(10) > 0 {
				all = append(all, labels.FromStrings("__name__", "up", "a", fmt.Sprint(i/7), "n", fmt.Sprint(i%7), name, fmt.Sprint(k)))
			}
		}
	}
	slices.SortFunc(all, labels.Compare)
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, lset := range all {
		b.Reset(lset)
		keys = append(keys, encoded.AppendLabels(nil, b.Del(name).Labels()))
	}
	return keys
}

// TestOrder: parts are sorted, and those of one label set stay as they came.
func TestOrder(t *testing.T) {
	t.Parallel()
	check := func(keys [][]byte) {
		t.Helper()
		want := make([]int32, len(keys))
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortFunc(want, func(a, b int32) int {
			return cmp.Or(encoded.CompareLabels(keys[a], keys[b]), cmp.Compare(a, b))
		})
		testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(query.Order(keys)))
	}
	check(nil)
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		keys := stripped(r, 1+r.Intn(5), r.Intn(60))
		check(keys)
		slices.Reverse(keys)
		check(keys)
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		check(keys)
	}
}

// BenchmarkOrder sorts what two replicas have of 20,000 series each, that differ in
// labels before and after the replica label.
func BenchmarkOrder(b *testing.B) {
	var keys [][]byte
	for pod := range 5000 {
		for range 2 {
			for _, verb := range []string{"DELETE", "GET", "POST", "PUT"} {
				keys = append(keys, encoded.AppendLabels(nil, labels.FromStrings("__name__", "http_requests_total", "cluster", "eu", "instance",
					fmt.Sprintf("10.0.%03d.%03d:9090", pod/250, pod%250), "job", "kubernetes-pods", "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05x", pod), "verb", verb)))
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		query.Order(keys)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(keys)), "ns/part")
}
