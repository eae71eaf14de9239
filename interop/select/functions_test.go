package selecting_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
)

// point is a sample of a scraped series.
type point struct {
	t int64
	v float64
}

// scrapes are two hours of what a replica scrapes, at a distance of 15 s, of a
// value; down says when it is not there.
func scrapes(offset int64, value func(t int64) float64, down func(t int64) bool) (out []point) {
	for t := offset; t < 7_200_000; t += step {
		if !down(t) {
			out = append(out, point{t, value(t)})
		}
	}
	return out
}

func never(int64) bool { return false }

// asReplica is a replica with one series.
func asReplica(t testing.TB, name string, points []point) *replica {
	s := &store.Series{Labels: labels.FromStrings("__name__", "x", "cluster", "eu", "replica", name), Chunks: cut(t, points)}
	return &replica{cluster: "eu", name: name, series: []*store.Series{s}}
}

// cut makes chunks of samples.
func cut(t testing.TB, points []point) (out []store.Chunk) {
	for part := range slices.Chunk(points, perChunk) {
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		testutil.Ok(t, err)
		for _, p := range part {
			app.Append(p.t, p.v)
		}
		out = append(out, store.Chunk{MinTime: part[0].t, MaxTime: part[len(part)-1].t, Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: c.Bytes()}})
	}
	return out
}

// asker evaluates expressions over replicas, deduplicated by Thanos' querier and by
// ours.
type asker struct {
	engine       *promql.Engine
	thanos, ours storage.Queryable
}

func newAsker(t testing.TB, replicas ...[]point) *asker {
	var clients []storepb.StoreClient
	var stores []store.Store
	for i, points := range replicas {
		r := asReplica(t, string(rune('a'+i)), points)
		clients, stores = append(clients, inProcess(newPeer(r))), append(stores, newMember(r))
	}
	return &asker{
		promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000_000, Timeout: time.Minute, EnableDelayedNameRemoval: false}),
		thanosOver(clients), oursOver(t, fanOver(t, stores), nil),
	}
}

// value is what an expression gives at a time, NaN if it gives nothing.
func (a *asker) value(t testing.TB, qb storage.Queryable, expr string, at int64) float64 {
	t.Helper()
	qry, err := a.engine.NewInstantQuery(context.Background(), qb, nil, expr, time.UnixMilli(at))
	testutil.Ok(t, err)
	defer qry.Close()
	res := qry.Exec(context.Background())
	testutil.Ok(t, res.Err, expr)
	v, err := res.Vector()
	testutil.Ok(t, err)
	if len(v) == 0 {
		return math.NaN()
	}
	testutil.Equals(t, 1, len(v))
	return v[0].F
}

// overTime are the functions of a range, but for those that are experimental.
func overTime() (out []string) {
	for name, f := range parser.Functions {
		if len(f.ArgTypes) == 1 && f.ArgTypes[0] == parser.ValueTypeMatrix && !f.Experimental {
			out = append(out, name+"(x[30m])")
		}
	}
	slices.Sort(out)
	return append(out, "quantile_over_time(0.9, x[30m])", "predict_linear(x[30m], 60)")
}

// A counter that was reset once, at an hour and 3 s; and a gauge.
func counter(t int64) float64 {
	if t >= 3_603_000 {
		t -= 3_603_000
	}
	return float64(t / 100)
}

func gauge(t int64) float64 { return math.Round(1000 * math.Sin(float64(t)/300_000)) }

// TestResets: a reset that both replicas show is one. Thanos raises counters over
// resets before it has a look at them, so that none is left.
func TestResets(t *testing.T) {
	for name, down := range map[string]func(int64) bool{
		"both are there":      never,
		"the first is down":   func(t int64) bool { return t > 3_300_000 && t < 3_900_000 },
		"at the reset itself": func(t int64) bool { return t > 3_590_000 && t < 3_620_000 },
	} {
		a := newAsker(t, scrapes(0, counter, down), scrapes(7000, counter, never))
		testutil.Equals(t, 1.0, a.value(t, a.ours, "resets(x[1h])", 5_400_000), name)
		testutil.Equals(t, 0.0, a.value(t, a.thanos, "resets(x[1h])", 5_400_000), name)
	}
}

// TestFunctionsOfTheFirst: while the first replica is complete, every function of a
// range that begins with it is what it is of that replica alone, whatever the other
// one has. (Where a scrape of the other is the first in range, it is in the answer.)
func TestFunctionsOfTheFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for kind, value := range map[string]func(int64) float64{"counter": counter, "gauge": gauge} {
		first := scrapes(0, value, never)
		var second []point
		for _, p := range scrapes(4000+rng.Int64N(8000), value, func(t int64) bool { return t/600_000%3 == 1 }) {
			second = append(second, point{p.t + rng.Int64N(40), p.v})
		}
		alone, both := newAsker(t, first), newAsker(t, first, second)
		other := map[string]bool{}
		asked := 0
		for _, expr := range overTime() {
			for at := int64(1_799_999); at <= 7_200_000; at += 405_000 { // a scrape of the first is the first in range
				want := alone.value(t, alone.ours, expr, at)
				same(t, want, both.value(t, both.ours, expr, at), "%s: %s at %d", kind, expr, at)
				other[expr] = other[expr] || math.Float64bits(want) != math.Float64bits(both.value(t, both.thanos, expr, at))
				asked++
			}
		}
		testutil.Assert(t, asked > 250, "only %d answers", asked)
		var list []string
		for expr, differs := range other {
			if differs {
				list = append(list, expr)
			}
		}
		slices.Sort(list)
		t.Logf("%s: Thanos answers otherwise than of the first replica alone, at times: %s", kind, list)
	}
}

func same(t testing.TB, want, got float64, format string, args ...any) {
	t.Helper()
	if math.Float64bits(want) != math.Float64bits(got) && !(math.IsNaN(want) && math.IsNaN(got)) {
		t.Fatalf("%s: got %v, want %v", fmt.Sprintf(format, args...), got, want)
	}
}

// TestFunctionsAcrossGaps: where each replica is down for a while, functions answer
// what lies between what they are of a replica without gaps, widened by a scrape at
// each end. Thanos loses scrapes at every change.
func TestFunctionsAcrossGaps(t *testing.T) {
	down := func(of int64) func(int64) bool { return func(t int64) bool { return t/300_000%4 == of } }
	const interval = float64(step)
	var lost, most int
	for at := int64(1_800_000); at <= 7_200_000; at += 137_000 {
		a := newAsker(t, scrapes(0, counter, down(0)), scrapes(7000, counter, down(2)))
		for expr, want := range map[string]struct{ from, to float64 }{
			"count_over_time(x[30m])":   {120 - 3, 120 + 1},
			"present_over_time(x[30m])": {1, 1},
			"changes(x[30m])":           {119 - 3, 119 + 1},
			"resets(x[30m])":            {float64(resetsIn(at-1_800_000, at-7000)), float64(resetsIn(at-1_800_000-int64(interval), at))},
			"increase(x[30m])":          {18_000 - 2*interval/100 - lostAtReset, 18_000 + 2*interval/100},
			"last_over_time(x[30m])":    {counter(at - 2*step), max(counter(at), 36_030)},
		} {
			got := a.value(t, a.ours, expr, at)
			testutil.Assert(t, got >= want.from && got <= want.to, "%s at %d: %v is not in [%v, %v]", expr, at, got, want.from, want.to)
		}
		if n := int(a.value(t, a.thanos, "count_over_time(x[30m])", at)); n < 117 {
			lost, most = lost+1, max(most, 120-n)
		}
	}
	t.Logf("Thanos has fewer than 117 of 120 scrapes at %d times, %d fewer at most", lost, most)
	testutil.Assert(t, lost > 0)
}

// lostAtReset is what a counter may gain between a scrape and its reset, unseen.
const lostAtReset = 2 * float64(step) / 100

func resetsIn(from, to int64) int {
	if from < 3_603_000 && to >= 3_603_000+step {
		return 1
	}
	return 0
}
