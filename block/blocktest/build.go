package blocktest

import (
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// Options say what a block is like. The zero value, and nil, are a raw block of
// level 1 with a new ULID, the range of its samples and one external label.
type Options struct {
	ULID ulid.ULID
	// MinTime and MaxTime are the block's range in ms, half-open: the range of the
	// samples if both are 0.
	MinTime, MaxTime int64
	// ExternalLabels are {replica="a"} if empty.
	ExternalLabels labels.Labels
	// NoExternalLabels is for a block as a Prometheus has it on disk.
	NoExternalLabels bool
	Resolution       block.Resolution
	Source           block.SourceType // block.SourceTest if empty
	Level            int              // 1 if 0
	Sources          []ulid.ULID      // the block's own ULID if empty
	SegmentSize      int64            // of chunks, in bytes; 512 MiB if 0
	// NoIndexStats leaves index_stats out, as Thanos' sidecar does.
	NoIndexStats bool
	// Unchecked writes what is wrong: see block.WriterOptions.
	Unchecked bool
}

// Meta returns the meta.json that a block with these options begins with.
func (o *Options) Meta() *block.Meta {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.ULID.IsZero() {
		opts.ULID = ulid.Make()
	}
	if opts.Source == "" {
		opts.Source = block.SourceTest
	}
	if opts.ExternalLabels.IsEmpty() && !opts.NoExternalLabels {
		opts.ExternalLabels = labels.FromStrings("replica", "a")
	}
	return &block.Meta{
		ULID: opts.ULID, MinTime: opts.MinTime, MaxTime: opts.MaxTime,
		Compaction: block.Compaction{Level: opts.Level, Sources: opts.Sources},
		Thanos: block.Thanos{
			Labels:     opts.ExternalLabels.Map(),
			Downsample: block.Downsample{Resolution: opts.Resolution},
			Source:     opts.Source,
		},
	}
}

// Build writes a block into a directory that holds blocks, and returns the
// block's own. Series are sorted, in place, unless opts say Unchecked.
func Build(t testing.TB, dir string, opts *Options, series ...block.Series) string {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	meta, err := block.WriteBlock(dir, o.Meta(), series, &block.WriterOptions{SegmentSize: o.SegmentSize, Unchecked: o.Unchecked})
	if err != nil {
		t.Fatalf("build block: %v", err)
	}
	built := filepath.Join(dir, meta.ULID.String())
	if o.NoIndexStats {
		meta.Thanos.IndexStats = block.IndexStats{}
		if err := block.WriteMeta(built, meta); err != nil {
			t.Fatalf("build block: %v", err)
		}
	}
	return built
}
