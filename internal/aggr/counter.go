package aggr

import "math"

// Counter turns the float samples of consecutive chunks, counter aggregates or
// raw data, into one counter that never falls: from one sample to the next it
// rises by as much as the counter did, and where the counter was reset, by the
// value that it has since reached.
//
// A counter aggregate begins with the first raw value of what it stands for and
// ends with the last one, given as a second sample at the time of the one before
// it. That second sample is not passed on: the next chunk's first value is
// compared with it, so that a reset between chunks is seen, and one that did not
// happen is not.
//
// The first sample keeps its value. NaN, the stale marker among them, is left
// out. So is what is not later than a sample before it: where chunks overlap,
// the first one counts.
//
// The zero value is ready for use. It is not safe for concurrent use.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go,
// ApplyCounterResetsSeriesIterator.
type Counter struct {
	// lastV is the last value as stored, total the same with all resets undone.
	lastV, total float64
	// lastT is the time of the last sample in ms, if there was one. Histograms
	// count as samples here.
	lastT    int64
	started  bool
	counting bool // a float was among them
}

// Floats puts the samples of the next chunk through the counter, in place, and
// returns how many are left: ts[:n] ascends and is later than everything
// before.
func (c *Counter) Floats(ts []int64, vs []float64) (n int) {
	vs = vs[:len(ts)]
	for i, t := range ts {
		v := vs[i]
		switch {
		case math.IsNaN(v):
			continue
		case !c.started || t > c.lastT:
			switch {
			case !c.counting:
				c.total = v
			case v >= c.lastV:
				c.total += v - c.lastV
			default:
				c.total += v
			}
			c.lastV, c.lastT, c.started, c.counting = v, t, true, true
			ts[n], vs[n] = t, c.total
			n++
		case t == c.lastT && c.counting:
			c.lastV = v
		}
	}
	return n
}

// Last returns the value of the last float as it was stored, resets not undone: of
// a counter aggregate, the last raw value. It is 0 if there was none.
func (c *Counter) Last() float64 { return c.lastV }

// Histogram tells of a histogram at t among the samples, and reports whether it
// is to be passed on. Resets of histograms are not undone: their own hints tell
// them.
func (c *Counter) Histogram(t int64) bool {
	if c.started && t <= c.lastT {
		return false
	}
	c.lastT, c.started = t, true
	return true
}
