package program

import (
	"flag"

	"github.com/thanoskit/thanoskit/store"
)

// limits are the flags that bound the answers to StoreAPI requests.
type limits struct{ series, samples, bytes int64 }

func newLimits(flags *flag.FlagSet) *limits {
	l := &limits{}
	Count(flags, &l.series, "store.limits.request-series", 0, 0, "most series of one Series request; 0 is without limit")
	Count(flags, &l.samples, "store.limits.request-samples", 0, 0, "most samples of one Series request, counted as 120 for each chunk; 0 is without limit")
	Count(flags, &l.bytes, "store.limits.request-bytes", 0, 0, "most bytes of labels and chunks of one Series request; 0 is without limit (not in Thanos)")
	return l
}

// Limits returns what the flags say of the answer to one request, once they are
// parsed. Serve enforces it; a Store that does so too ends earlier.
func (p *Program) Limits() store.Limits { return p.limits.get() }

func (l *limits) get() store.Limits {
	out := store.Limits{Series: l.series, Bytes: l.bytes}
	if l.samples > 0 {
		out.Chunks = max(l.samples/store.SamplesPerChunk, 1)
	}
	return out
}

// wrap makes a Store keep to the limits, if there are any.
func (l *limits) wrap(s store.Store) store.Store {
	limits := l.get()
	if limits == (store.Limits{}) {
		return s
	}
	return store.Wrap(s, store.WithLimits(limits))
}
