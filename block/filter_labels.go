package block

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// BlockIDLabel is the label by which LabelShard has a block's ULID.
const BlockIDLabel = "__block_id"

// LabelShard keeps blocks of which relabeling leaves any label. It works on the
// external labels, without replica labels, so that replicas of one block come to
// one shard, and with the block's ULID in BlockIDLabel.
//
//	# The first of three shards.
//	- {action: hashmod, source_labels: [__block_id], modulus: 3, target_label: shard}
//	- {action: keep, source_labels: [shard], regex: 0}
//
// Errors: a configuration that is not valid; errors.ErrUnsupported for an action
// that is not known.
// Source: Thanos' LabelShardedMetaFilter.
func LabelShard(configs []*relabel.Config, replicaLabels ...string) (Filter, error) {
	own, err := ownRelabel(configs)
	if err != nil {
		return nil, err
	}
	return &labelShard{configs: own, replica: slices.Clone(replicaLabels)}, nil
}

type labelShard struct {
	configs []*relabel.Config
	replica []string
}

func (s *labelShard) Filter(_ context.Context, v *View) error {
	b := labels.NewBuilder(labels.EmptyLabels())
	for id, m := range v.Metas {
		b.Reset(labels.EmptyLabels())
		b.Set(BlockIDLabel, id.String())
		for name, value := range m.Thanos.Labels {
			if !slices.Contains(s.replica, name) {
				b.Set(name, value)
			}
		}
		if !relabel.ProcessBuilder(b, s.configs...) || b.Labels().IsEmpty() {
			v.Exclude(id, StateLabelExcluded)
		}
	}
	return nil
}

// ReplicaLabels removes labels from the external labels of all blocks, in the
// view alone, so that replicas become one stream. Where none is left, the first
// of these labels stays with the value "deduped".
//
// Source: Thanos' ReplicaLabelRemover.
func ReplicaLabels(names ...string) Filter {
	names = slices.Clone(names)
	return FilterFunc(func(_ context.Context, v *View) error {
		if len(names) == 0 {
			return nil
		}
		for id, m := range v.Metas {
			left := maps.Clone(m.Thanos.Labels)
			for _, name := range names {
				if _, ok := left[name]; ok {
					delete(left, name)
					v.modified++
				}
			}
			if len(left) == len(m.Thanos.Labels) && len(left) > 0 {
				continue
			}
			if len(left) == 0 {
				left = map[string]string{names[0]: "deduped"}
			}
			changed := *m
			changed.Thanos.Labels = left
			v.Metas[id] = &changed
		}
		return nil
	})
}
