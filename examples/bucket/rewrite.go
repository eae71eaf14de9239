package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

// rewriting is the flags of rewrite.
type rewriting struct {
	ids              []ulid.ULID
	dir, hash        string
	dry, really      bool
	markOld, noLabel bool
	deletions        *program.Content
	relabel          *program.Content
}

// rewrite downloads blocks, writes them anew without some series or samples, or
// with other labels, and uploads what came out.
func rewrite(flags *flag.FlagSet) func(context.Context, *tool) error {
	r := &rewriting{}
	declareIDs(flags, &r.ids, "ULID of a block to rewrite; needed")
	flags.StringVar(&r.dir, "tmp.dir", os.TempDir(), "directory for the old and the new block")
	flags.BoolVar(&r.dry, "dry-run", true, "print what would change, and upload nothing")
	flags.BoolVar(&r.really, "no-dry-run", false, "the same as --dry-run=false")
	flags.BoolVar(&r.markOld, "delete-blocks", false, "mark the old blocks for deletion")
	flags.BoolVar(&r.noLabel, "prom-blocks", false, "take blocks that have no external labels, for they are Prometheus' own")
	flags.Func("hash-func", "SHA256, for meta.json to have the hash of each file (default none)", func(v string) error {
		if r.hash = v; v != "" && v != string(block.HashSHA256) {
			return errors.New("not SHA256")
		}
		return nil
	})
	r.deletions = program.NewContent(flags, "rewrite.to-delete-config", "what to drop, in Thanos' YAML: a list of {matchers: '{__name__=\"up\"}', intervals: [{mint: 0, maxt: 1}]}, times in ms")
	r.relabel = program.NewContent(flags, "rewrite.to-relabel-config", "relabel configurations for the labels of series, in YAML: a list, as Prometheus takes it")
	return r.run
}

func (r *rewriting) run(ctx context.Context, t *tool) error {
	if len(r.ids) == 0 || !r.deletions.Given() && !r.relabel.Given() {
		return &usageError{"--id and --rewrite.to-delete-config or --rewrite.to-relabel-config are needed"}
	}
	opts := &block.RewriteOptions{
		Changed: func(before, after labels.Labels, deleted []block.Interval) {
			fmt.Fprintln(t.out, change(before, after, deleted))
		},
	}
	var err error
	if opts.Deletions, err = parseDeletions(r.deletions); err != nil {
		return err
	}
	if opts.Relabel, err = parseRelabel(r.relabel); err != nil {
		return err
	}
	var errs []error
	for _, id := range r.ids {
		if err := r.one(ctx, t, id, opts); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// one rewrites one block. An error, which names the block or the directory, leaves
// the bucket with the old block, and perhaps a part of the new one that nobody
// takes for a block.
func (r *rewriting) one(ctx context.Context, t *tool, id ulid.ULID, opts *block.RewriteOptions) (err error) {
	if err := os.MkdirAll(r.dir, 0o750); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(r.dir, "rewrite-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	old := filepath.Join(tmp, "old", id.String())
	if err := os.Mkdir(filepath.Dir(old), 0o750); err != nil {
		return err
	}
	if err := block.Download(ctx, t.bkt, id, old, nil); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(t.out, "%s:\n", id); err != nil {
		return err
	}
	m, err := block.RewriteBlock(ctx, old, filepath.Join(tmp, "new"), opts)
	if err != nil {
		return err
	}
	if r.dry && !r.really {
		_, err = fmt.Fprintf(t.out, "would have %d series and %d samples; --no-dry-run does it\n", m.Stats.NumSeries, m.Stats.NumSamples)
		return err
	}
	up := &block.UploadOptions{Hash: block.HashFunc(r.hash), AllowNoLabels: r.noLabel}
	if m, err = block.Upload(ctx, t.bkt, filepath.Join(tmp, "new", m.ULID.String()), up); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(t.out, "rewritten to %s: %d series and %d samples\n", m.ULID, m.Stats.NumSeries, m.Stats.NumSamples); err != nil || !r.markOld {
		return err
	}
	return t.mark(ctx, id, block.DeletionMark, "rewritten to "+m.ULID.String())
}

func change(before, after labels.Labels, deleted []block.Interval) string {
	switch {
	case after.IsEmpty():
		return fmt.Sprintf("- %s", before)
	case len(deleted) == 0:
		return fmt.Sprintf("~ %s to %s", before, after)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "~ %s", before)
	if !labels.Equal(before, after) {
		fmt.Fprintf(&out, " to %s", after)
	}
	for _, i := range deleted {
		fmt.Fprintf(&out, " without [%d, %d]", i.Mint, i.Maxt)
	}
	return out.String()
}

// deletionYAML is a deletion request; errors name the types.
type (
	deletionYAML struct {
		Matchers  string         `yaml:"matchers"`
		Intervals []intervalYAML `yaml:"intervals"`
		RequestID string         `yaml:"requestid"`
	}
	intervalYAML struct {
		Mint int64 `yaml:"mint"`
		Maxt int64 `yaml:"maxt"`
	}
)

// parseDeletions reads what Thanos calls deletion requests.
func parseDeletions(c *program.Content) ([]block.Deletion, error) {
	text, err := c.Read()
	if err != nil {
		return nil, err
	}
	var requests []deletionYAML
	if err := yaml.UnmarshalStrict(text, &requests); err != nil {
		return nil, fmt.Errorf("parse %s: %w", c, err)
	}
	var out []block.Deletion
	for _, r := range requests {
		ms, err := parse.MetricSelector(r.Matchers)
		if err != nil {
			return nil, fmt.Errorf("parse %s: matchers %q: %w", c, r.Matchers, err)
		}
		d := block.Deletion{RequestID: r.RequestID}
		for _, m := range ms {
			d.Matchers = append(d.Matchers, block.Matcher{Type: m.Type, Name: m.Name, Value: m.Value})
		}
		for _, i := range r.Intervals {
			d.Intervals = append(d.Intervals, block.Interval{Mint: i.Mint, Maxt: i.Maxt})
		}
		out = append(out, d)
	}
	return out, nil
}

func parseRelabel(c *program.Content) ([]*relabel.Config, error) {
	text, err := c.Read()
	if err != nil {
		return nil, err
	}
	var out []*relabel.Config
	if err := yaml.UnmarshalStrict(text, &out); err != nil {
		return nil, fmt.Errorf("parse %s: %w", c, err)
	}
	for i, config := range out {
		if config == nil {
			return nil, fmt.Errorf("parse %s: configuration %d is empty", c, i+1)
		}
		if err := config.Validate(model.UTF8Validation); err != nil {
			return nil, fmt.Errorf("parse %s: configuration %d: %w", c, i+1, err)
		}
	}
	return out, nil
}
