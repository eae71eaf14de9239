package dedup_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestFollowForgets: four windows after a later start not only the samples are the
// same as those of an earlier one, but all that the next ones are decided by.
// Whatever the scrape interval is: scenes are stretched, up to half an hour.
func TestFollowForgets(t *testing.T) {
	t.Parallel()
	const w = int64(dedup.FollowWindow / 1e6)
	compared, stretched := 0, 0
	for seed := range uint64(*scenes) {
		rng := rand.New(rand.NewPCG(seed, 8))
		s := newScene(rng)
		factor := int64(1)
		if rng.IntN(3) == 0 {
			factor = 1 + rng.Int64N(8)
		}
		var replicas []deduptest.Replica
		first, last := int64(1<<62), int64(-1<<62)
		for _, r := range s.replicas {
			r = slices.Clone(r)
			for i := range r {
				r[i].T *= factor
				first, last = min(first, r[i].T), max(last, r[i].T)
			}
			replicas = append(replicas, r)
		}
		if first >= last {
			continue
		}
		start := first + rng.Int64N(last-first)
		if since, _ := dedup.WindowOf(start); rng.IntN(2) == 0 {
			start = since + rng.Int64N(3) - 1 // where most of the window before is missing, or of this one nothing
		}
		n, at := forgets(replicas, start, start+4*w)
		if at != 0 {
			t.Errorf("seed %d, intervals %v times %d, begun at %d: at %d the state or the sample is another", seed, s.interval, factor, start, at)
		}
		compared += n
		if n > 0 && s.longest()*factor > w/2 {
			stretched++
		}
	}
	if compared < 20**scenes || stretched < *scenes/50 {
		t.Errorf("compared %d samples only, in %d scenes of long intervals", compared, stretched)
	}
}

// forgets compares samples and state from a time on with those of a later start. It
// returns how many samples it compared, and the time of the first that differs.
func forgets(replicas []deduptest.Replica, start, from int64) (n int, differs int64) {
	var late []deduptest.Replica
	for _, r := range replicas {
		at := slices.IndexFunc(r, func(x deduptest.Sample) bool { return x.T >= start })
		if at < 0 {
			at = len(r)
		}
		late = append(late, r[at:])
	}
	early := dedup.Stepping(dedup.Follow{}.Merge(nil, dedup.Untyped, deduptest.Iterables(replicas)...))
	other := dedup.Stepping(dedup.Follow{}.Merge(nil, dedup.Untyped, deduptest.Iterables(late)...))
	seek := func(it chunkenc.Iterator) (vt chunkenc.ValueType) {
		for vt = it.Next(); vt != chunkenc.ValNone && it.AtT() < from; vt = it.Next() {
		}
		return vt
	}
	a, b := seek(early), seek(other)
	for ; a != chunkenc.ValNone || b != chunkenc.ValNone; a, b = early.Next(), other.Next() {
		if a != b || early.AtT() != other.AtT() || !reflect.DeepEqual(dedup.State(early), dedup.State(other)) {
			return n, early.AtT()
		}
		n++
	}
	return n, 0
}
