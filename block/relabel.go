package block

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"
)

// ParseRelabel parses what Thanos' flag --selector.relabel-config takes: a YAML
// list of relabel configurations with actions keep, drop and hashmod.
//
// Errors: what is not YAML or has unknown fields; all configurations that are wrong,
// joined, by their number from 1: errors.ErrUnsupported for another action.
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

// ownRelabel returns copies of relabel configurations, which may be made by hand,
// with what a parser fills in.
//
// Errors: a configuration that is nil or not valid; errors.ErrUnsupported for an
// action that is not known, at which relabeling panics.
func ownRelabel(configs []*relabel.Config) ([]*relabel.Config, error) {
	own := make([]*relabel.Config, len(configs))
	for i, c := range configs {
		if c == nil {
			return nil, fmt.Errorf("relabel configuration %d: nil", i+1)
		}
		copied := *c
		def := &relabel.DefaultRelabelConfig
		if copied.Regex.Regexp == nil {
			copied.Regex = def.Regex
		}
		// What has no meaning has to be the default.
		switch copied.Action {
		case relabel.LabelDrop, relabel.LabelKeep, relabel.KeepEqual, relabel.DropEqual:
			copied.Separator = cmp.Or(copied.Separator, def.Separator)
			copied.Replacement = cmp.Or(copied.Replacement, def.Replacement)
		case relabel.Lowercase, relabel.Uppercase:
			copied.Replacement = cmp.Or(copied.Replacement, def.Replacement)
		}
		if err := copied.Validate(model.UTF8Validation); err != nil {
			return nil, fmt.Errorf("relabel configuration %d: %w", i+1, err)
		}
		if !slices.Contains(relabelActions(), copied.Action) {
			return nil, fmt.Errorf("relabel configuration %d: action %q: %w", i+1, copied.Action, errors.ErrUnsupported)
		}
		own[i] = &copied
	}
	return own, nil
}

func relabelActions() []relabel.Action {
	return []relabel.Action{
		relabel.Replace, relabel.Keep, relabel.Drop, relabel.KeepEqual, relabel.DropEqual, relabel.HashMod,
		relabel.LabelMap, relabel.LabelDrop, relabel.LabelKeep, relabel.Lowercase, relabel.Uppercase,
	}
}
