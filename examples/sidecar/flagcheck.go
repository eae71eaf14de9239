package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"

	"github.com/thanoskit/thanoskit/store/promstore"
)

// Flags of Prometheus that say what becomes of blocks.
const (
	minBlockFlag     = "storage.tsdb.min-block-duration"
	maxBlockFlag     = "storage.tsdb.max-block-duration"
	delayCompactFlag = "storage.tsdb.delay-compact-file.path" // since 3.9
)

// usualBlock is the range of the blocks that all of Thanos is made for.
const usualBlock = model.Duration(2 * time.Hour)

// flagCheck finds out whether a Prometheus leaves blocks alone until they have
// been uploaded.
//
// Source: validatePrometheus in Thanos' cmd/thanos/sidecar.go.
type flagCheck struct {
	metaFile      string // what the shipper writes
	ignoreUnequal bool
}

// run asks Prometheus for its flags and checks them. An error may be mended: by
// Prometheus coming up, or starting again with other flags.
func (c *flagCheck) run(ctx context.Context, flags func(context.Context) (map[string]string, error)) (warnings []error, err error) {
	values, err := flags(ctx)
	if status, ok := errors.AsType[*promstore.StatusError](err); ok && status.Code == http.StatusNotFound {
		return []error{fmt.Errorf("not checked: %w", err)}, nil // too old to have any of them
	}
	if err != nil {
		return nil, err
	}
	return c.check(values)
}

func (c *flagCheck) check(values map[string]string) (warnings []error, err error) {
	shortest, err := duration(values, minBlockFlag)
	if err != nil {
		return nil, err
	}
	longest, err := duration(values, maxBlockFlag)
	if err != nil {
		return nil, err
	}
	delayed := values[delayCompactFlag]
	_, hasMin := values[minBlockFlag]
	_, hasMax := values[maxBlockFlag]
	if !hasMin || !hasMax { // something that speaks Prometheus' API
		warnings = append(warnings, fmt.Errorf("not checked whether Prometheus compacts blocks: it has no --%s and --%s", minBlockFlag, maxBlockFlag))
	}
	switch {
	case delayed != "" && filepath.Clean(delayed) != filepath.Clean(c.metaFile):
		return nil, fmt.Errorf("compaction by Prometheus is delayed by its --%s=%s, but what has been uploaded is written to %s: "+
			"set that flag of Prometheus, or --tsdb.path and --shipper.meta-file-name here, so that both are the same file",
			delayCompactFlag, delayed, c.metaFile)
	case delayed == "" && shortest != longest && !c.ignoreUnequal:
		return nil, fmt.Errorf("blocks are compacted by Prometheus (--%s=%s, --%s=%s), so that some could be gone before they are uploaded: "+
			"set --%s=%s on Prometheus, or --%s=%s since 3.9, or accept it with --shipper.ignore-unequal-block-size here",
			minBlockFlag, shortest, maxBlockFlag, longest, maxBlockFlag, shortest, delayCompactFlag, c.metaFile)
	case delayed == "" && shortest != longest:
		warnings = append(warnings, fmt.Errorf("blocks are compacted by Prometheus (--%s=%s, --%s=%s): one whose upload fails until then will not be in the bucket",
			minBlockFlag, shortest, maxBlockFlag, longest))
	}
	if hasMin && shortest != usualBlock {
		warnings = append(warnings, fmt.Errorf("blocks of Prometheus have a range of %s (--%s), recommended is %s", shortest, minBlockFlag, usualBlock))
	}
	return warnings, nil
}

// duration reads a flag; 0 if there is no such flag.
func duration(values map[string]string, name string) (model.Duration, error) {
	text, ok := values[name]
	if !ok {
		return 0, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("flag --%s of Prometheus: %w", name, err)
	}
	return d, nil
}
