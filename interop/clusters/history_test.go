package clusters

import (
	"math"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

const (
	hour = time.Hour
	day  = 24 * hour
	// slot is the longest range of the compactor, so that a block of it is final.
	slot = 14 * day
	// slots is how much history there is: one of which raw data is kept, one of
	// which 5m is, and one of which 1h is.
	slots = 3
	// live is how much the Prometheus have when they start, in blocks of 2 h.
	live = 3 * 2 * hour
	// scrapes is the time between samples of both.
	scrapes = time.Minute
)

// calendar is when what is.
type calendar struct {
	start, end time.Time // of the history, multiples of a slot; exclusive
	liveEnd    time.Time // of what the Prometheus have when they start; exclusive
	raw, five  time.Duration
}

// newCalendar sets retention days away from any block's end, so that the same
// blocks have had their time as long as a test runs.
func newCalendar(now time.Time) calendar {
	end := time.UnixMilli(now.UnixMilli() / slot.Milliseconds() * slot.Milliseconds())
	if now.Sub(end) < 4*day { // The present, and what is laid before sidecars, is after it.
		end = end.Add(-slot)
	}
	age := now.Sub(end)
	return calendar{
		start: end.Add(-slots * slot), end: end,
		liveEnd: now.Truncate(2 * hour),
		raw:     (age + slot/2).Round(hour),
		five:    (age + slot + slot/2).Round(hour),
	}
}

func (c calendar) liveStart() time.Time { return c.liveEnd.Add(-live) }

// metric is a series of the shop of each cluster.
type metric struct {
	name, instance string
	value          func(minute int64) float64
	whole          bool // Without holes.
}

var metrics = []metric{
	{"orders_total", "shop-0", func(m int64) float64 { return float64(m % 5000) }, false},
	{"orders_total", "shop-1", func(m int64) float64 { return float64(m%7000) * 3 }, false},
	{"queue_length", "shop-0", func(m int64) float64 { return 10 + 8*math.Sin(float64(m)/97) }, false},
	{"open_shops", "shop-0", func(int64) float64 { return 2 }, true},
	{"steady_total", "shop-0", func(m int64) float64 { return float64(m%9000) * 2 }, true},
}

// down tells when a replica is not there: for half an hour of every six, b three
// hours after a.
func down(replica string, at time.Time) bool {
	const every = 6 * hour
	if replica == "b" {
		at = at.Add(every / 2)
	}
	in := at.Sub(at.Truncate(every))
	return in >= hour && in < hour+hour/2
}

// writeBlock writes what a replica scraped from one time to another, exclusive, as
// its Prometheus does. Replicas of the history scrape at the same time, those of
// the present do not, if phase says so.
func writeBlock(t testing.TB, dir, replica string, from, to time.Time, phase time.Duration, external labels.Labels) {
	t.Helper()
	var series []block.Series
	for _, m := range metrics {
		var enc block.ChunkEncoder
		for at := from; at.Before(to); at = at.Add(scrapes) {
			if !m.whole && down(replica, at) {
				continue
			}
			testutil.Ok(t, enc.Float(at.Add(phase).UnixMilli(), m.value(at.Unix()/60)))
		}
		series = append(series, block.Series{Labels: labels.FromStrings("__name__", m.name, "instance", m.instance, "job", "shop"), Chunks: enc.Chunks()})
	}
	meta := &block.Meta{ULID: ulid.Make(), MinTime: from.UnixMilli(), MaxTime: to.UnixMilli(), Compaction: block.Compaction{Level: 1}}
	if !external.IsEmpty() {
		meta.Thanos.Labels = external.Map()
		meta.Thanos.Source = block.SourceSidecar
	}
	_, err := block.WriteBlock(dir, meta, series, nil)
	testutil.Ok(t, err)
}
