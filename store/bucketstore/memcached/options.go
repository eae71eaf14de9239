package memcached

import (
	"errors"
	"fmt"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/prometheus/client_golang/prometheus"
)

// Options are the options of New. Servers or Selector is required.
type Options struct {
	// Servers are addresses as host:port, or paths of sockets. Names are looked up
	// by New, and each server must be in the same place of the list in all programs
	// that share the cache.
	Servers []string
	// Selector says which server has a key, in place of Servers: for servers that
	// come and go.
	Selector memcache.ServerSelector
	// Timeout is how long Get takes at most. 0 is 250 ms.
	Timeout time.Duration
	// Expiration is how long servers keep a value, at most 30 days. 0 is 24 h.
	Expiration time.Duration
	// MaxItemBytes is the size of the largest value that is set. 0 is 1 MiB less
	// 4 KiB, which is what a server takes that is not told otherwise.
	MaxItemBytes int
	// BatchKeys is how many keys are asked for by one request. 0 is 100.
	BatchKeys int
	// Concurrency is how many requests run at a time. 0 is 64.
	Concurrency int
	// QueueItems and QueueBytes are how many values may wait to be set. 0 are 10,000
	// and 64 MiB.
	QueueItems int
	QueueBytes int64
	// Writers is how many values are set at a time. 0 is 8.
	Writers int
	// Registerer is where metrics are registered; nil is nowhere. Caches that share
	// one share the metrics, which are then sums.
	Registerer prometheus.Registerer
}

// maxExpiration is the longest that servers take for a span, not for a date.
const maxExpiration = 30 * 24 * time.Hour

// withDefaults returns a copy with defaults, and all that is wrong with it.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	if len(out.Servers) == 0 && out.Selector == nil {
		errs = append(errs, errors.New("neither Servers nor Selector"))
	}
	if len(out.Servers) > 0 && out.Selector != nil {
		errs = append(errs, errors.New("both Servers and Selector"))
	}
	fill(&out.Timeout, 250*time.Millisecond, "Timeout", &errs)
	fill(&out.Expiration, 24*time.Hour, "Expiration", &errs)
	fill(&out.MaxItemBytes, 1<<20-4<<10, "MaxItemBytes", &errs)
	fill(&out.BatchKeys, 100, "BatchKeys", &errs)
	fill(&out.Concurrency, 64, "Concurrency", &errs)
	fill(&out.QueueItems, 10_000, "QueueItems", &errs)
	fill(&out.QueueBytes, 64<<20, "QueueBytes", &errs)
	fill(&out.Writers, 8, "Writers", &errs)
	if out.Expiration > maxExpiration {
		errs = append(errs, fmt.Errorf("%s %v is longer than %v", "Expiration", out.Expiration, maxExpiration))
	}
	return out, errors.Join(errs...)
}

// fill sets what is 0 to its default.
func fill[T int | int64 | time.Duration](p *T, def T, name string, errs *[]error) {
	if *p < 0 {
		*errs = append(*errs, fmt.Errorf("%s %v is negative", name, *p))
	}
	if *p == 0 {
		*p = def
	}
}
