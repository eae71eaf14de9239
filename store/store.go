package store

import "context"

// Store is a source of series: the StoreAPI. It is safe for concurrent use.
//
// Series sends every series that matches all of req.Matchers and has data
// between req.MinTime and req.MaxTime to w, under the contract in the package
// documentation. No matchers means every series. What a Store cannot do of a
// request's optional parts (MaxResolution, Aggregates, Hints, Limit,
// WithoutReplicaLabels, Shard) it leaves undone and does not announce in its
// Info; [WithExternalLabels] does the last two for it.
//
// Errors end the answer. What leaves it incomplete but useful is a warning,
// given to w, unless req.Strategy is Abort.
//
// Source: service Store in Thanos' storepb/rpc.proto.
type Store interface {
	Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error
}

// SeriesWriter receives the answer to a SeriesRequest. It is not safe for
// concurrent use, and not to be used after Series returned.
type SeriesWriter interface {
	// Send takes the next series, or the next part of the last one, and owns it
	// and all that it points to from then on. An error says that no more is
	// wanted; the Store returns it.
	Send(*Series) error
	// Warn reports something that the reader should know: data that is missing
	// from the answer, or doubtful. An error means the same as Send's.
	Warn(error) error
}

// LabelQuerier is the optional ability of a Store to answer for label names and
// values without sending series.
//
// Results ascend by bytes, without duplicates. Only series that match all
// matchers and have data in the time range count. Warnings go to the request's
// Outcome. A Limit truncates.
type LabelQuerier interface {
	LabelNames(ctx context.Context, req *LabelNamesRequest) ([]string, error)
	LabelValues(ctx context.Context, req *LabelValuesRequest) ([]string, error)
}

// Describer is the optional ability of a Store to say what it may hold, so that
// it need not be asked for what it has not.
//
// An error means that the Store cannot answer now; a fan-out treats it as
// unhealthy.
type Describer interface {
	Describe(ctx context.Context) (Info, error)
}

// MetricFilter is the optional ability of a Store to rule out, cheaply, that it
// holds series of a metric, so that a fan-out need not ask it for them. False is
// a promise; true promises nothing. It is asked for each request, and for exact
// names only.
type MetricFilter interface {
	MayHoldMetric(name string) bool
}

// MayHoldMetric asks s if it is a MetricFilter; otherwise it may.
func MayHoldMetric(s Store, name string) bool {
	f, ok := s.(MetricFilter)
	return !ok || f.MayHoldMetric(name)
}

// Func is a function as a Store.
type Func func(ctx context.Context, req *SeriesRequest, w SeriesWriter) error

// Series calls f.
func (f Func) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	return f(ctx, req, w)
}
