package bucketstore

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/store"
)

// limiter counts what one call reads, and says when it is too much. It is safe
// for concurrent use.
type limiter struct {
	max     store.Limits
	stats   *callStats
	dropped *prometheus.CounterVec // by the limit

	series, chunks atomic.Int64
	exceeded       atomic.Bool
}

// add counts series and chunks of a block, before they are read.
func (l *limiter) add(series, chunks int) error {
	return l.compare(l.series.Add(int64(series)), l.chunks.Add(int64(chunks)))
}

// foresee says what add will say, of series and chunks that wait in memory until
// they can be added.
func (l *limiter) foresee(series, chunks int) error {
	return l.compare(l.series.Load()+int64(series), l.chunks.Load()+int64(chunks))
}

func (l *limiter) compare(series, chunks int64) error {
	switch {
	case l.max.Series > 0 && series > l.max.Series:
		return l.fail("series", l.max.Series)
	case l.max.Chunks > 0 && chunks > l.max.Chunks:
		return l.fail("chunks", l.max.Chunks)
	}
	return l.check()
}

// check looks at the bytes that were read.
func (l *limiter) check() error {
	if l.max.Bytes <= 0 {
		return nil
	}
	n := int64(0)
	for k := range numKinds {
		s := &l.stats.kinds[k]
		n += max(s.fetchedBytes.Load(), s.touchedBytes.Load())
	}
	if n > l.max.Bytes {
		return l.fail("bytes", l.max.Bytes)
	}
	return nil
}

// fail counts a call once.
func (l *limiter) fail(limit string, most int64) error {
	if l.exceeded.CompareAndSwap(false, true) {
		l.dropped.WithLabelValues(limit).Inc()
	}
	return &store.LimitError{Limit: limit, Max: most}
}
