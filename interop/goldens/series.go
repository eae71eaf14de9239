package main

import (
	"iter"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

const (
	start  = int64(1_700_006_400_000) // 2023-11-15T00:00:00Z, where blocks begin that Prometheus writes.
	length = 10*24*time.Hour + 4*time.Hour
	tail   = 2 * time.Hour
	dense  = 4 * time.Hour // At both ends samples are close together.
)

// series is one that the blocks hold.
type series struct {
	labels labels.Labels
	times  iter.Seq[time.Duration] // Since start, in order.
	// add appends the n-th sample, from 0, at a time since start.
	add func(app storage.Appender, ref storage.SeriesRef, lset labels.Labels, n int, at time.Duration) (storage.SeriesRef, error)
}

// all returns the series in any order. What is a counter is reset where its number
// of samples says.
func all() []series {
	return []series{
		floats("counter", "integer", every(time.Minute, time.Hour), func(n int) float64 { return float64(n % 401 * 7) }),
		floats("counter", "fraction", every(time.Minute, time.Hour), func(n int) float64 { return float64(n%1000) / 8 }),
		floats("gauge", "sine", every(time.Minute, time.Hour), func(n int) float64 { return math.Round(64*math.Sin(float64(n)/50)) / 4 }),
		floats("gauge", "stale", every(time.Minute, time.Hour), func(n int) float64 {
			if n%50 == 49 {
				return math.Float64frombits(value.StaleNaN)
			}
			return float64(n % 17)
		}),
		floats("gauge", "sparse", every(3*time.Hour, 3*time.Hour), func(n int) float64 { return -float64(n) }),
		// Less than what the block spans.
		floats("gauge", "begin", until(8*time.Hour, every(time.Minute, time.Hour)), func(n int) float64 { return float64(n) }),
		histograms("integer", histogram.UnknownCounterReset, false, func(n int) *histogram.FloatHistogram { return exponential(n%151, 2) }),
		histograms("float", histogram.UnknownCounterReset, true, func(n int) *histogram.FloatHistogram { return exponential(n%151, 1).Mul(0.5) }),
		histograms("gauge", histogram.GaugeType, false, func(n int) *histogram.FloatHistogram { return exponential(20+n%11, 0) }),
		histograms("schemas", histogram.UnknownCounterReset, false, func(n int) *histogram.FloatHistogram { return exponential(n, int32(3-n/100%3)) }),
		histograms("custom", histogram.UnknownCounterReset, false, custom),
	}
}

func named(metric, is string) labels.Labels {
	return labels.FromStrings(labels.MetricName, "golden_"+metric, "is", is)
}

func floats(metric, is string, times iter.Seq[time.Duration], v func(n int) float64) series {
	return series{named(metric, is), times, func(app storage.Appender, ref storage.SeriesRef, lset labels.Labels, n int, at time.Duration) (storage.SeriesRef, error) {
		return app.Append(ref, lset, start+at.Milliseconds(), v(n))
	}}
}

func histograms(is string, hint histogram.CounterResetHint, float bool, v func(n int) *histogram.FloatHistogram) series {
	return series{named("histogram", is), every(2*time.Minute, 2*time.Hour), func(app storage.Appender, ref storage.SeriesRef, lset labels.Labels, n int, at time.Duration) (storage.SeriesRef, error) {
		fh := v(n)
		fh.CounterResetHint = hint
		if float {
			return app.AppendHistogram(ref, lset, start+at.Milliseconds(), nil, fh)
		}
		return app.AppendHistogram(ref, lset, start+at.Milliseconds(), integer(fh), nil)
	}}
}

// every yields the times of samples: near each other in the first and last hours
// of the long block and after it, far in between.
func every(near, far time.Duration) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for at := time.Duration(0); at < length+tail; {
			if !yield(at) {
				return
			}
			if step := far; at >= dense && at < length-dense {
				at += step
			} else {
				at += near
			}
		}
	}
}

func until(end time.Duration, times iter.Seq[time.Duration]) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for at := range times {
			if at >= end || !yield(at) {
				return
			}
		}
	}
}
