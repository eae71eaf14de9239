package compact_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/downsample"
)

// standAlone downsamples a block on its own.
func standAlone(t testing.TB, dir string, to block.Resolution) string {
	t.Helper()
	out := t.TempDir()
	m, err := downsample.Block(context.Background(), dir, out, to, nil)
	testutil.Ok(t, err)
	return filepath.Join(out, m.ULID.String())
}

// sameBlock checks that two blocks are the same but for their ULIDs.
func sameBlock(t testing.TB, want, got string) {
	t.Helper()
	sameFiles(t, want, got)
	w, err := block.ReadMeta(want)
	testutil.Ok(t, err)
	g, err := block.ReadMeta(got)
	testutil.Ok(t, err)
	w.ULID = g.ULID
	we, err := w.Encode()
	testutil.Ok(t, err)
	ge, err := g.Encode()
	testutil.Ok(t, err)
	testutil.Equals(t, string(we), string(ge))
}

// TestOnePassEqualsThree: what one pass makes is, file for file, what downsampling
// the compacted block makes, and then downsampling that.
func TestOnePassEqualsThree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3 + 2/raceDivisor) { // of one to three replicas
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 2))
			o := &blocktest.RandomOptions{Series: 15, Samples: 2000, Start: jobStart, Step: 15_000, Jitter: rnd.Int64N(15_000), Gaps: rnd.Float64() / 3}
			bounds := randomBounds(rnd, 1+rnd.IntN(5), jobStart, jobStart+11*hourMS)
			var dirs []string
			for i, replica := range []string{"a", "b", "c"}[:1+seed%3] {
				dirs = append(dirs, cut(t, blocktest.Options{ExternalLabels: replicaLabels(replica)}, blocktest.Random(seed, o), bounds...)...)
				o.Jitter, o.Gaps = rnd.Int64N(15_000), o.Gaps+0.1*float64(i)
			}
			opts := &compact.Options{ReplicaLabels: []string{"replica"}}
			made := runOK(t, jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour), dirs, opts)
			testutil.Equals(t, 3, len(made))
			five := standAlone(t, made[0], block.FiveMinutes)
			sameBlock(t, five, made[1])
			sameBlock(t, standAlone(t, five, block.OneHour), made[2])
		})
	}
}

// TestDownsampleOnly: a downsampling of one block, of one or of two resolutions, is
// what package downsample makes.
func TestDownsampleOnly(t *testing.T) {
	t.Parallel()
	raw := cut(t, blocktest.Options{ExternalLabels: replicaLabels("a"), Level: 3},
		blocktest.Random(9, &blocktest.RandomOptions{Start: jobStart}), jobStart, jobStart+3*hourMS)
	five := standAlone(t, raw[0], block.FiveMinutes)
	hour := standAlone(t, five, block.OneHour)
	for name, tc := range map[string]struct {
		source  string
		outputs []block.Resolution
		want    []string
	}{
		"5m of raw":       {raw[0], []block.Resolution{block.FiveMinutes}, []string{five}},
		"both of raw":     {raw[0], []block.Resolution{block.FiveMinutes, block.OneHour}, []string{five, hour}},
		"1h alone of raw": {raw[0], []block.Resolution{block.OneHour}, []string{hour}},
		"1h of 5m":        {five, []block.Resolution{block.OneHour}, []string{hour}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := jobOf(t, []string{tc.source}, tc.outputs...)
			job.Kind, job.Labels = compact.DownsampleOnly, job.Sources[0].Thanos.Labels
			for i, dir := range runOK(t, job, []string{tc.source}, nil) {
				sameBlock(t, tc.want[i], dir)
			}
		})
	}
}

// TestNothingToDownsample: of series with nothing but stale markers there is a raw
// block and none of a coarser resolution, which the result says.
func TestNothingToDownsample(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(value.StaleNaN)
	series := blocktest.Floats(labels.FromStrings("__name__", "gone"), jobStart, 60_000, stale, stale)
	dirs := cut(t, blocktest.Options{}, []block.Series{series}, jobStart, jobStart+hourMS)
	out := t.TempDir()
	res, err := compact.RunJob(context.Background(), jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour), dirs, out, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(res.Metas))
	testutil.Equals(t, block.Raw, res.Metas[0].Resolution())
	testutil.Equals(t, []block.Resolution{block.FiveMinutes, block.OneHour}, res.Empty)
	onlyBlocks(t, out, 1)
}
