package bucketstore

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics of a Store. Those with a name of Thanos' mean what they mean there, but
// come without its label tenant.
type metrics struct {
	loaded       prometheus.Gauge
	lastLoaded   prometheus.Gauge
	loads        prometheus.Counter
	loadFailures prometheus.Counter
	loadDuration prometheus.Histogram
	drops        prometheus.Counter
	dropFailures prometheus.Counter

	touched      *prometheus.HistogramVec
	fetched      *prometheus.HistogramVec
	touchedBytes *prometheus.HistogramVec
	fetchedBytes *prometheus.HistogramVec

	blocksQueried prometheus.Histogram
	resultSeries  prometheus.Histogram
	duration      prometheus.Histogram
	dropped       *prometheus.CounterVec
	chunkRefetch  prometheus.Counter
	seriesRefetch prometheus.Counter
	blockFailures prometheus.Counter
	hedges        prometheus.Counter
	retries       prometheus.Counter
	lazyBytes     prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	byData := func(o prometheus.HistogramOpts, first float64) *prometheus.HistogramVec {
		o.Buckets = prometheus.ExponentialBuckets(first, 2, 15)
		return prometheus.NewHistogramVec(o, []string{"data_type"})
	}
	m := &metrics{
		loaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_bucket_store_blocks_loaded",
			Help: "Number of currently loaded blocks.",
		}),
		lastLoaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "thanos_bucket_store_blocks_last_loaded_timestamp_seconds",
			Help: "Timestamp when last block got loaded.",
		}),
		loads:        counter("thanos_bucket_store_block_loads_total", "Total number of remote block loading attempts."),
		loadFailures: counter("thanos_bucket_store_block_load_failures_total", "Total number of failed remote block loading attempts."),
		drops:        counter("thanos_bucket_store_block_drops_total", "Total number of local blocks that were dropped."),
		dropFailures: counter("thanos_bucket_store_block_drop_failures_total", "Total number of local blocks that failed to be dropped."),
		loadDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanos_bucket_store_block_load_duration_seconds",
			Help:    "The total time taken to load a block in seconds.",
			Buckets: []float64{0.1, 0.2, 0.5, 1, 2, 5, 15, 30, 60, 90, 120, 300},
		}),
		touched: byData(prometheus.HistogramOpts{
			Name: "thanos_bucket_store_series_data_touched",
			Help: "Number of items of a data type touched to fulfill a single Store API series request.",
		}, 200),
		fetched: byData(prometheus.HistogramOpts{
			Name: "thanos_bucket_store_series_data_fetched",
			Help: "Number of items of a data type retrieved to fulfill a single Store API series request.",
		}, 200),
		touchedBytes: byData(prometheus.HistogramOpts{
			Name: "thanos_bucket_store_series_data_size_touched_bytes",
			Help: "Total size of items of a data type touched to fulfill a single Store API series request in Bytes.",
		}, 1024),
		fetchedBytes: byData(prometheus.HistogramOpts{
			Name: "thanos_bucket_store_series_data_size_fetched_bytes",
			Help: "Total size of items of a data type fetched to fulfill a single Store API series request in Bytes.",
		}, 1024),
		blocksQueried: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanos_bucket_store_series_blocks_queried",
			Help:    "Number of blocks in a bucket store that were touched to satisfy a query.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		resultSeries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanos_bucket_store_series_result_series",
			Help:    "Number of series observed in the final result of a query.",
			Buckets: prometheus.ExponentialBuckets(100, 2, 15),
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanoskit_bucketstore_series_duration_seconds",
			Help:    "Time that series requests took, from their turn to their end.",
			Buckets: []float64{0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120},
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "thanos_bucket_store_queries_dropped_total",
			Help: "Number of queries that were dropped due to the limit.",
		}, []string{"reason"}),
		seriesRefetch: counter("thanos_bucket_store_series_refetches_total", "Series entries of which more had to be read than was guessed."),
		chunkRefetch:  counter("thanos_bucket_store_chunk_refetches_total", "Chunks of which more had to be read than was guessed."),
		blockFailures: counter("thanoskit_bucketstore_block_failures_total", "Blocks of which answers lack something, once for each request."),
		hedges:        counter("thanoskit_bucketstore_hedged_requests_total", "Requests to the bucket that were sent beside a slow one."),
		retries:       counter("thanoskit_bucketstore_retried_requests_total", "Requests to the bucket that were sent again."),
		lazyBytes:     counter("thanos_bucket_store_lazy_expanded_posting_size_bytes_total", "Total number of lazy posting group size in bytes."),
	}
	return m, errors.Join(
		metric.Register(reg, &m.loaded), metric.Register(reg, &m.lastLoaded), metric.Register(reg, &m.loads),
		metric.Register(reg, &m.loadFailures), metric.Register(reg, &m.loadDuration), metric.Register(reg, &m.drops),
		metric.Register(reg, &m.dropFailures), metric.Register(reg, &m.touched), metric.Register(reg, &m.fetched),
		metric.Register(reg, &m.touchedBytes), metric.Register(reg, &m.fetchedBytes), metric.Register(reg, &m.blocksQueried),
		metric.Register(reg, &m.resultSeries), metric.Register(reg, &m.duration), metric.Register(reg, &m.dropped),
		metric.Register(reg, &m.seriesRefetch), metric.Register(reg, &m.chunkRefetch), metric.Register(reg, &m.blockFailures),
		metric.Register(reg, &m.hedges), metric.Register(reg, &m.retries), metric.Register(reg, &m.lazyBytes),
	)
}

// observe counts what a series request took.
func (m *metrics) observe(c *call, took time.Duration) {
	for k := range numKinds {
		s, name := &c.stats.kinds[k], k.String()
		m.touched.WithLabelValues(name).Observe(float64(s.touched.Load()))
		m.fetched.WithLabelValues(name).Observe(float64(s.fetched.Load()))
		m.touchedBytes.WithLabelValues(name).Observe(float64(s.touchedBytes.Load()))
		m.fetchedBytes.WithLabelValues(name).Observe(float64(s.fetchedBytes.Load()))
	}
	m.blocksQueried.Observe(float64(len(c.chosen)))
	m.resultSeries.Observe(float64(c.series))
	m.duration.Observe(took.Seconds())
	m.seriesRefetch.Add(float64(c.stats.refetches.Load()))
	m.chunkRefetch.Add(float64(c.refetches.Load()))
	m.hedges.Add(float64(c.stats.hedges.Load()))
	m.retries.Add(float64(c.stats.retries.Load()))
	m.lazyBytes.Add(float64(c.stats.lazyBytes.Load()))
}
