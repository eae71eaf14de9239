package block

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/relabel"
)

// Filter takes blocks out of a View, with Exclude, or replaces their Meta by
// changed copies. It is called from one goroutine at a time; an error means that
// there is no view.
type Filter interface {
	Filter(ctx context.Context, v *View) error
}

// FilterFunc is a function as a Filter.
type FilterFunc func(ctx context.Context, v *View) error

// Filter calls f.
func (f FilterFunc) Filter(ctx context.Context, v *View) error { return f(ctx, v) }

// FilterOptions say which filters StandardFilters returns. The zero value,
// and nil, take out blocks that are marked for deletion and duplicates.
type FilterOptions struct {
	// MinTime and MaxTime bound the blocks by time; zero means no bound. See
	// TimePartition.
	MinTime, MaxTime TimeBound
	// Relabel selects blocks by labels; none means all. See LabelShard.
	Relabel []*relabel.Config
	// ConsistencyDelay is how old blocks must be. See ConsistencyDelay.
	ConsistencyDelay time.Duration
	// DeletionDelay is how long blocks stay that are marked for deletion. See
	// DeletionMarks.
	DeletionDelay time.Duration
	// ReplicaLabels are removed from external labels; none means that they stay. See
	// ReplicaLabels.
	ReplicaLabels []string
}

// StandardFilters returns the filters in the order in which Thanos has them: time
// partition, shard, consistency delay, deletion marks, replica labels, duplicates.
//
// Errors: that of LabelShard.
func StandardFilters(o *FilterOptions) ([]Filter, error) {
	if o == nil {
		o = &FilterOptions{}
	}
	var (
		filters []Filter
		errs    error
	)
	if !o.MinTime.IsZero() || !o.MaxTime.IsZero() {
		filters = append(filters, TimePartition(o.MinTime, o.MaxTime))
	}
	if len(o.Relabel) > 0 {
		shard, err := LabelShard(o.Relabel, o.ReplicaLabels...)
		errs = errors.Join(errs, err)
		filters = append(filters, shard)
	}
	if o.ConsistencyDelay > 0 {
		filters = append(filters, ConsistencyDelay(o.ConsistencyDelay))
	}
	filters = append(filters, DeletionMarks(o.DeletionDelay))
	if len(o.ReplicaLabels) > 0 {
		filters = append(filters, ReplicaLabels(o.ReplicaLabels...))
	}
	if errs != nil {
		return nil, errs
	}
	return append(filters, Duplicates()), nil
}
