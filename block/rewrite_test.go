package block_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func ExampleRewriteBlock() {
	out, _ := os.MkdirTemp("", "block")
	defer os.RemoveAll(out)

	meta, err := block.RewriteBlock(context.Background(), "testdata/index_format_v1/01DXXFZDYD1MQW6079WK0K6EDQ", out, &block.RewriteOptions{
		ULID:      newID(1),
		Deletions: []block.Deletion{{Matchers: []block.Matcher{{Type: labels.MatchRegexp, Name: "bar", Value: ".*7"}}}},
	})
	fmt.Println(meta, err)
	fmt.Println(meta.Stats.NumSeries, meta.Thanos.Source, meta.Thanos.Rewrites[0].Sources, meta.Thanos.Rewrites[0].DeletionsApplied)
	// Output:
	// 01EMS4F6G00000000000000001 [0, 7200000) raw level 1 <nil>
	// 92 bucket.rewrite [01DXXFZDYD1MQW6079WK0K6EDQ] [{[bar=~".*7"] [] }]
}

func matcher(typ labels.MatchType, name, value string) block.Deletion {
	return block.Deletion{Matchers: []block.Matcher{{Type: typ, Name: name, Value: value}}}
}

// samplesOf returns the samples of a block by series.
func samplesOf(t testing.TB, dir string) map[string][]string {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	out := map[string][]string{}
	for s, err := range r.All(context.Background()) {
		testutil.Ok(t, err)
		samples, err := blocktest.Samples(s.Chunks...)
		testutil.Ok(t, err)
		for _, x := range samples {
			out[s.Labels.String()] = append(out[s.Labels.String()], x.String())
		}
	}
	return out
}

// TestRewriteIntervals compares with dropping the samples one by one.
func TestRewriteIntervals(t *testing.T) {
	t.Parallel()
	opts := &blocktest.RandomOptions{Series: 30, Start: 1_000_000, Step: 1000, Samples: 500}
	series := blocktest.Random(9, opts)
	old := blocktest.Build(t, t.TempDir(), nil, series...)
	all := block.Interval{Mint: 0, Maxt: 5_000_000}
	deletions := []block.Deletion{
		{Matchers: matcher(labels.MatchRegexp, "instance", "host-00.*").Matchers, Intervals: []block.Interval{{Mint: 1_200_000, Maxt: 1_250_500}, {Mint: 1_100_000, Maxt: 1_200_000}}},
		{Matchers: matcher(labels.MatchEqual, "kind", "counter").Matchers, Intervals: []block.Interval{{Mint: 1_499_000, Maxt: 9_000_000}, {Mint: 30, Maxt: 20}}},
		{Matchers: matcher(labels.MatchEqual, "kind", "stale").Matchers, Intervals: []block.Interval{all}},
		matcher(labels.MatchNotEqual, "nowhere", "x"), // as in Thanos, no series has the label, so none matches
	}
	hit := func(lset labels.Labels, ts int64) bool {
		for _, d := range deletions[:3] {
			m := labels.MustNewMatcher(d.Matchers[0].Type, d.Matchers[0].Name, d.Matchers[0].Value)
			if m.Matches(lset.Get(m.Name)) && slices.ContainsFunc(d.Intervals, func(i block.Interval) bool { return i.Mint <= ts && ts <= i.Maxt }) {
				return true
			}
		}
		return false
	}
	want := map[string][]string{}
	for _, s := range series {
		samples, err := blocktest.Samples(s.Chunks...)
		testutil.Ok(t, err)
		for _, x := range samples {
			if !hit(s.Labels, x.T) {
				// The counter reset hint of a sample says what came before it.
				want[s.Labels.String()] = append(want[s.Labels.String()], withoutHint(x.String()))
			}
		}
	}
	changed := map[string][]block.Interval{}
	out := t.TempDir()
	meta, err := block.RewriteBlock(context.Background(), old, out, &block.RewriteOptions{
		Deletions: deletions,
		Changed: func(before, after labels.Labels, deleted []block.Interval) {
			testutil.Assert(t, after.IsEmpty() == strings.Contains(before.String(), `kind="stale"`), "%s", before)
			changed[before.String()] = deleted
		},
	})
	testutil.Ok(t, err)
	got := samplesOf(t, filepath.Join(out, meta.ULID.String()))
	for lset, samples := range got {
		for i := range samples {
			samples[i] = withoutHint(samples[i])
		}
		testutil.Equals(t, want[lset], samples)
	}
	testutil.Equals(t, sortedKeys(want), sortedKeys(got))
	mustVerify(t, filepath.Join(out, meta.ULID.String()))
	for _, s := range series {
		name := s.Labels.Get("instance")
		_, was := changed[s.Labels.String()]
		expect := strings.HasPrefix(name, "host-00") || s.Labels.Get("kind") == "counter" || s.Labels.Get("kind") == "stale"
		testutil.Equals(t, expect, was)
	}
	// Joined and sorted.
	testutil.Equals(t, []block.Interval{{Mint: 1_100_000, Maxt: 1_250_500}, {Mint: 1_499_000, Maxt: 9_000_000}},
		changed[labels.FromStrings("__name__", "metric_0", "instance", "host-000:9100", "kind", "counter", "température.°C", "froid").String()])
	// What Prometheus reads is the same.
	testutil.Equals(t, asTSDB(t, filepath.Join(out, meta.ULID.String())), asOurs(t, filepath.Join(out, meta.ULID.String())))
}

func withoutHint(s string) string {
	s, _, _ = strings.Cut(s, " hint ")
	return s
}

// TestRewriteCopiesTheRest: what is not touched is the same to the byte.
func TestRewriteCopiesTheRest(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(9, nil)
	old := blocktest.Build(t, t.TempDir(), nil, series...)
	out := t.TempDir()
	meta, err := block.RewriteBlock(context.Background(), old, out, &block.RewriteOptions{Deletions: []block.Deletion{matcher(labels.MatchEqual, "kind", "gauge")}})
	testutil.Ok(t, err)
	m, err := block.ReadMeta(old)
	testutil.Ok(t, err)
	left := slices.DeleteFunc(series, func(s block.Series) bool { return s.Labels.Get("kind") == "gauge" })
	testutil.Assert(t, len(left) > 0 && len(left) < 20)
	want := blocktest.Build(t, t.TempDir(), &blocktest.Options{MinTime: m.MinTime, MaxTime: m.MaxTime}, left...)
	diff, err := blocktest.Diff(want, filepath.Join(out, meta.ULID.String()))
	testutil.Ok(t, err)
	testutil.Equals(t, "", diff)
	a, err := os.ReadFile(filepath.Join(want, "index"))
	testutil.Ok(t, err)
	b, err := os.ReadFile(filepath.Join(out, meta.ULID.String(), "index"))
	testutil.Ok(t, err)
	testutil.Assert(t, string(a) == string(b), "the index has what no series needs")

	testutil.Equals(t, m.Compaction.Level, meta.Compaction.Level)
	testutil.Equals(t, []ulid.ULID{meta.ULID}, meta.Compaction.Sources)
	testutil.Equals(t, block.SourceBucketRewrite, meta.Thanos.Source)
	testutil.Equals(t, m.Thanos.Labels, meta.Thanos.Labels)
	testutil.Equals(t, 1, len(meta.Thanos.Rewrites))
	testutil.Equals(t, m.Compaction.Sources, meta.Thanos.Rewrites[0].Sources)
	mustVerify(t, old)
}

func TestRewriteRelabel(t *testing.T) {
	t.Parallel()
	l := labels.FromStrings
	series := []block.Series{
		blocktest.Floats(l("a", "1", "pod", "x"), 0, 10, 1, 2),
		blocktest.Floats(l("a", "1", "pod", "y"), 100, 10, 3, 4),
		blocktest.Floats(l("a", "2", "pod", "x"), 0, 10, 5),
		blocktest.Floats(l("a", "2", "pod", "y"), 0, 10, 5), // the same chunk
		blocktest.Floats(l("a", "3"), 0, 10, 6),
		blocktest.Floats(l("pod", "only"), 0, 10, 7),
		blocktest.Floats(l("a", "0", "pod", "gone"), 0, 10, 8),
	}
	old := blocktest.Build(t, t.TempDir(), nil, series...)
	out := t.TempDir()
	var gone []string
	meta, err := block.RewriteBlock(context.Background(), old, out, &block.RewriteOptions{
		Deletions: []block.Deletion{matcher(labels.MatchEqual, "pod", "gone")},
		Relabel: []*relabel.Config{
			{Action: relabel.LabelDrop, Regex: relabel.MustNewRegexp("pod")},
			{Action: relabel.Replace, SourceLabels: nil, TargetLabel: "z", Replacement: "new"},
			{Action: relabel.Replace, SourceLabels: []model.LabelName{"a"}, Regex: relabel.MustNewRegexp("3"), TargetLabel: "a", Replacement: "0"},
			{Action: relabel.Keep, SourceLabels: []model.LabelName{"a"}, Regex: relabel.MustNewRegexp(".+")},
		},
		Changed: func(before, after labels.Labels, _ []block.Interval) {
			if after.IsEmpty() {
				gone = append(gone, before.String())
			}
		},
	})
	testutil.Ok(t, err)
	built := filepath.Join(out, meta.ULID.String())
	testutil.Equals(t, map[string][]string{
		`{a="0", z="new"}`: {"0 6"},
		`{a="1", z="new"}`: {"0 1", "10 2", "100 3", "110 4"},
		`{a="2", z="new"}`: {"0 5"},
	}, samplesOf(t, built))
	testutil.Equals(t, []string{`{a="0", pod="gone"}`, `{pod="only"}`}, gone)
	mustVerify(t, built)
	testutil.Equals(t, 4, len(meta.Thanos.Rewrites[0].RelabelsApplied))
	_, err = block.ReadMeta(built)
	testutil.Ok(t, err)
}

func TestRewriteErrors(t *testing.T) {
	t.Parallel()
	l := labels.FromStrings
	raw := blocktest.Build(t, t.TempDir(), nil,
		blocktest.Floats(l("a", "1", "pod", "x"), 0, 10, 1, 2),
		blocktest.Floats(l("a", "1", "pod", "y"), 5, 10, 3, 4),
	)
	downsampled := blocktest.Build(t, t.TempDir(), &blocktest.Options{Resolution: block.FiveMinutes},
		blocktest.Downsample(block.FiveMinutes, blocktest.Floats(l("a", "1"), 0, 100_000, 1, 2, 3, 4))...)
	drop := []*relabel.Config{{Action: relabel.LabelDrop, Regex: relabel.MustNewRegexp("pod")}}
	part := matcher(labels.MatchEqual, "a", "1")
	part.Intervals = []block.Interval{{Mint: 0, Maxt: 299_999}}
	var overlap *block.SeriesError
	for name, tc := range map[string]struct {
		dir  string
		opts *block.RewriteOptions
		is   func(err error) bool
		text string
	}{
		"nothing to do":     {raw, nil, nil, "neither deletions nor relabel configs"},
		"no matchers":       {raw, &block.RewriteOptions{Deletions: []block.Deletion{{}}}, nil, "deletion 0 has no matchers"},
		"bad regexp":        {raw, &block.RewriteOptions{Deletions: []block.Deletion{matcher(labels.MatchRegexp, "a", "(")}}, nil, "deletion 0: matcher"},
		"bad relabel":       {raw, &block.RewriteOptions{Relabel: []*relabel.Config{{}}}, nil, "relabel configuration 1: relabel action"},
		"no relabel":        {raw, &block.RewriteOptions{Relabel: []*relabel.Config{nil}}, nil, "relabel configuration 1: nil"},
		"unknown relabel":   {raw, &block.RewriteOptions{Relabel: []*relabel.Config{{Action: "fold"}}}, func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }, `action "fold"`},
		"nothing left":      {raw, &block.RewriteOptions{Deletions: []block.Deletion{matcher(labels.MatchEqual, "a", "1")}}, func(err error) bool { return errors.Is(err, block.ErrEmpty) }, ""},
		"overlap":           {raw, &block.RewriteOptions{Relabel: drop}, func(err error) bool { return errors.As(err, &overlap) && overlap.Kind == block.OverlappingChunks }, `series {a="1"}: overlapping chunks`},
		"part of aggregate": {downsampled, &block.RewriteOptions{Deletions: []block.Deletion{part}}, func(err error) bool { return errors.Is(err, block.ErrUnsupported) }, "part of the aggregate chunk"},
		"no block":          {t.TempDir(), &block.RewriteOptions{Relabel: drop}, func(err error) bool { return errors.Is(err, block.ErrNotFound) }, ""},
	} {
		out := t.TempDir()
		_, err := block.RewriteBlock(context.Background(), tc.dir, out, tc.opts)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.text), "%s: %v", name, err)
		testutil.Assert(t, tc.is == nil || tc.is(err), "%s: %v", name, err)
		isEmpty(t, out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, opts := range []*block.RewriteOptions{{Relabel: drop}, {Deletions: []block.Deletion{part}}} {
		out := t.TempDir()
		_, err := block.RewriteBlock(ctx, raw, out, opts)
		testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
		isEmpty(t, out)
	}
	// A damaged chunk that stays ends it; one that goes does not matter.
	patch(t, raw, "chunks/000001", func(b []byte) []byte { b[12]++; return b })
	out := t.TempDir()
	_, err := block.RewriteBlock(context.Background(), raw, out, &block.RewriteOptions{Deletions: []block.Deletion{matcher(labels.MatchEqual, "pod", "y")}})
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
	isEmpty(t, out)
	_, err = block.RewriteBlock(context.Background(), raw, out, &block.RewriteOptions{Deletions: []block.Deletion{matcher(labels.MatchEqual, "pod", "x")}})
	testutil.Ok(t, err)
}
