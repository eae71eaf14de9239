package compact_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

// TestDefaultAlgorithm: replicas are merged by Follow if nothing else is said, and
// what is of one replica is not thinned, beside another one or alone.
func TestDefaultAlgorithm(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 7))
	var dirs [2][]string
	var replicas []map[string][]blocktest.Sample
	for i := range dirs {
		o := blocktest.Options{ExternalLabels: replicaLabels(string(rune('a' + i)))}
		dirs[i] = cut(t, o, scrapes(7, rnd, 9), jobStart, jobStart+2*hourMS, jobStart+4*hourMS)
		replicas = append(replicas, samplesOf(t, dirs[i]...))
	}
	both := slices.Concat(dirs[0], dirs[1])
	run := func(o *compact.Options) map[string][]blocktest.Sample {
		return noHints(samplesOf(t, runOK(t, jobOf(t, both, block.Raw), both, o)...))
	}
	o := &compact.Options{ReplicaLabels: []string{"replica"}}
	equalSamples(t, noHints(merged(dedup.Follow{}, replicas...)), run(o))
	all := noHints(merged(dedup.Chain{}, replicas...))
	o.Algorithm = dedup.Chain{}
	equalSamples(t, all, run(o))
	// Nobody has said that they are replicas.
	equalSamples(t, all, run(nil))
}

// TestLateSamplesBesideReplica: what came late of one replica belongs to it, and is
// not taken for a replica of its own.
func TestLateSamplesBesideReplica(t *testing.T) {
	t.Parallel()
	up := labels.FromStrings("__name__", "up")
	var inTime, late, other []blocktest.Sample
	for i := range int64(200) {
		s := blocktest.Sample{T: jobStart + i*15_000, F: float64(i)}
		if i%3 == 1 {
			late = append(late, s)
		} else {
			inTime = append(inTime, s)
		}
		other = append(other, blocktest.Sample{T: s.T + 7000, F: -1})
	}
	var dirs []string
	for _, in := range []struct {
		replica string
		samples []blocktest.Sample
	}{{"a", inTime}, {"b", other}, {"a", late}} {
		dirs = append(dirs, cut(t, blocktest.Options{ExternalLabels: replicaLabels(in.replica)},
			[]block.Series{blocktest.Series(up, in.samples...)}, jobStart, jobStart+hourMS)...)
	}
	got := samplesOf(t, runOK(t, jobOf(t, dirs, block.Raw), dirs, &compact.Options{ReplicaLabels: []string{"replica"}})...)[up.String()]
	testutil.Equals(t, 200, len(got))
	for i, s := range got {
		testutil.Equals(t, float64(i), s.F)
	}
}

// TestSampleInTwoBlocks: a sample that the chunks of two blocks share, the last of
// one and the first of the other, comes out once.
func TestSampleInTwoBlocks(t *testing.T) {
	t.Parallel()
	up := labels.FromStrings("__name__", "up")
	end := jobStart + hourMS
	one := blocktest.Floats(up, end-3000, 1000, 1, 2, 3, 4)
	two := blocktest.Floats(up, end, 1000, 4, 5, 6)
	dirs := append(
		cut(t, blocktest.Options{}, []block.Series{one}, jobStart, end+hourMS),
		cut(t, blocktest.Options{}, []block.Series{two}, end, end+hourMS)...,
	)
	got := samplesOf(t, runOK(t, jobOf(t, dirs, block.Raw), dirs, nil)...)[up.String()]
	testutil.Equals(t, 6, len(got))
	for i, s := range got {
		testutil.Equals(t, end+int64(i-3)*1000, s.T)
	}
}
