package block

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"
)

// BlockIDLabel is the label by which LabelShard has a block's ULID.
const BlockIDLabel = "__block_id"

// ParseRelabel parses what Thanos' flag --selector.relabel-config takes: a YAML
// list of relabel configurations with actions keep, drop and hashmod.
func ParseRelabel(content []byte) ([]*relabel.Config, error) {
	var configs []*relabel.Config
	if err := yaml.UnmarshalStrict(content, &configs); err != nil {
		return nil, fmt.Errorf("parse relabel configuration: %w", err)
	}
	var errs error
	for i, c := range configs {
		if c == nil {
			errs = errors.Join(errs, fmt.Errorf("parse relabel configuration %d: empty", i+1))
			continue
		}
		switch c.Action {
		case relabel.Keep, relabel.Drop, relabel.HashMod:
		default:
			errs = errors.Join(errs, fmt.Errorf("parse relabel configuration %d: action %q: %w", i+1, c.Action, errors.ErrUnsupported))
		}
		if err := c.Validate(model.UTF8Validation); err != nil {
			errs = errors.Join(errs, fmt.Errorf("parse relabel configuration %d: %w", i+1, err))
		}
	}
	if errs != nil {
		return nil, errs
	}
	return configs, nil
}

// LabelShard keeps blocks of which relabeling leaves any label. It works on the
// external labels, without replica labels, so that replicas of one block come to
// one shard, and with the block's ULID in BlockIDLabel.
//
//   - {action: hashmod, source_labels: [__block_id], modulus: 3, target_label: shard}
//   - {action: keep, source_labels: [shard], regex: 0}
//
// Errors: a configuration that is not valid.
// Source: Thanos' LabelShardedMetaFilter.
func LabelShard(configs []*relabel.Config, replicaLabels ...string) (Filter, error) {
	own := make([]*relabel.Config, len(configs))
	for i, c := range configs {
		if c == nil {
			return nil, fmt.Errorf("relabel configuration %d: nil", i+1)
		}
		copied := *c
		if copied.Regex.Regexp == nil {
			copied.Regex = relabel.DefaultRelabelConfig.Regex
		}
		if err := copied.Validate(model.UTF8Validation); err != nil {
			return nil, fmt.Errorf("relabel configuration %d: %w", i+1, err)
		}
		own[i] = &copied
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
