package deduptest

import (
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Random makes two to five replicas of one counter, as unlike each other as
// replicas get: scraped at other times and intervals, with jitter, gaps, restarts
// that some see late, stale markers, changes between floats and native
// histograms of every kind, and now and then identical or without any sample.
//
// Output: replicas of at most 60 samples each, the same ones for the same state
// of rng.
func Random(rng *rand.Rand) []Replica {
	c := counter{rng: rng, interval: pick(rng, int64(1000), 5000, 15_000, 60_000), histograms: rng.IntN(3) == 0}
	c.start = pick(rng, 0, -int64(rng.IntN(100_000)), 1_700_000_000_000)
	c.length = c.interval * int64(1+rng.IntN(50))
	for range rng.IntN(3) {
		c.resets = append(c.resets, c.within())
	}
	replicas := make([]Replica, 2+rng.IntN(4))
	for i := range replicas {
		if i > 0 && rng.IntN(8) == 0 {
			replicas[i] = replicas[i-1]
			continue
		}
		replicas[i] = c.scrape()
	}
	return replicas
}

// RandomSteps makes steps over the time range of replicas: calls of Next, and of
// Seek to times ahead and behind, between and exactly at samples, and past the
// end.
func RandomSteps(rng *rand.Rand, replicas []Replica) []Step {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range replicas {
		if len(r) > 0 {
			lo, hi = min(lo, r[0].T), max(hi, r[len(r)-1].T)
		}
	}
	if lo > hi {
		lo, hi = 0, 0
	}
	steps := make([]Step, rng.IntN(12))
	for i := range steps {
		switch rng.IntN(4) {
		case 0:
			steps[i] = Step{Seek: true, To: lo - 1000 + rng.Int64N(hi-lo+2000)}
		case 1: // Mostly ahead, by steps that leave something to see.
			steps[i] = Step{Seek: true, To: lo + (hi-lo)*int64(i)/int64(len(steps))}
		case 2:
			if r := replicas[rng.IntN(len(replicas))]; len(r) > 0 {
				steps[i] = Step{Seek: true, To: r[rng.IntN(len(r))].T + int64(rng.IntN(2))}
			}
		}
	}
	return steps
}

// counter is what the replicas scrape.
type counter struct {
	rng           *rand.Rand
	start, length int64 // ms
	interval      int64 // ms
	resets        []int64
	histograms    bool
}

// scrape is one replica's view of the counter.
func (c *counter) scrape() Replica {
	rng := c.rng
	interval := c.interval
	if rng.IntN(5) == 0 {
		interval = pick(rng, interval/2, interval*2, interval*4/3)
	}
	offset := pick(rng, 0, 0, rng.Int64N(interval), int64(rng.IntN(50)))
	jitter := pick(rng, int64(1), 1, 10, interval/3)
	lag := pick(rng, 0, 0, interval*2) // How late resets are seen.
	ahead := pick(rng, 0.0, 0, 0.5, -3)
	gapAt, gapLen := c.within(), pick(rng, 0, rng.Int64N(interval*12))
	from, to := c.start, c.start+c.length
	if rng.IntN(4) == 0 {
		from = c.within()
	}
	if rng.IntN(4) == 0 {
		to = c.within()
	}
	loss := pick(rng, 0.0, 0, 0.1, 0.5)

	var out Replica
	for t := from + offset; t <= to && len(out) < 60; t += interval {
		at := t + rng.Int64N(jitter)
		if at >= gapAt && at < gapAt+gapLen || rng.Float64() < loss {
			continue
		}
		if n := len(out); n > 0 && at <= out[n-1].T {
			continue
		}
		out = append(out, c.sample(at, lag, ahead))
	}
	return out
}

// sample is what the counter shows at t to a replica that sees resets lag ms
// late and is ahead of the others by so much.
func (c *counter) sample(t, lag int64, ahead float64) Sample {
	rng := c.rng
	begin := c.start
	for _, r := range c.resets {
		if r+lag <= t && r > begin {
			begin = r
		}
	}
	v := math.Floor(float64(t-begin)/1000)*3 + ahead
	if !c.histograms || rng.IntN(6) == 0 {
		switch rng.IntN(40) {
		case 0:
			v = math.Float64frombits(value.StaleNaN)
		case 1:
			v = pick(rng, math.NaN(), math.Inf(1), math.Copysign(0, -1), -v)
		}
		return Sample{T: t, Type: chunkenc.ValFloat, V: v}
	}
	return Sample{
		T:    t,
		Type: pick(rng, chunkenc.ValHistogram, chunkenc.ValHistogram, chunkenc.ValFloatHistogram),
		V:    math.Floor(max(v, 0)),
		// Custom buckets come in stretches: which ones is said by the time.
		Custom: t/c.interval%8 > 4,
		Hint:   pick(rng, histogram.UnknownCounterReset, histogram.NotCounterReset, histogram.CounterReset, histogram.GaugeType),
	}
}

// within is a time at which the counter exists.
func (c *counter) within() int64 { return c.start + c.rng.Int64N(c.length) }

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }
