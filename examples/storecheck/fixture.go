package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/store/storetest"
)

// writeFixture writes the fixture as blocks, and says what to do with them.
//
// Errors: if the directory has blocks already: what overlaps is not the fixture
// any more.
func (c *command) writeFixture(ctx context.Context, out io.Writer) error {
	others, err := filepath.Glob(filepath.Join(c.fixtureDir, "*", metaFile))
	if err != nil {
		return fmt.Errorf("write fixture: %w", err)
	}
	if len(others) > 0 {
		return fmt.Errorf("write fixture: %s has blocks already: %s", c.fixtureDir, others[0])
	}
	if err := os.MkdirAll(c.fixtureDir, 0o777); err != nil { //nolint:gosec // As Prometheus makes blocks: the umask decides.
		return fmt.Errorf("write fixture: %w", err)
	}
	dirs, err := writeBlocks(ctx, c.fixtureDir, c.fixture, c.downsampled)
	if err != nil {
		return fmt.Errorf("write fixture: %w", err)
	}
	var text strings.Builder
	for _, dir := range dirs {
		fmt.Fprintln(&text, dir)
	}
	text.WriteString("global:\n  external_labels:\n")
	c.fixture.ExternalLabels().Range(func(l labels.Label) { fmt.Fprintf(&text, "    %s: %q\n", l.Name, l.Value) })
	_, err = io.WriteString(out, text.String())
	return err
}

// writeBlocks writes a block of the raw data and, if downsampled, one for each
// resolution of the downsampled data. It returns their directories.
func writeBlocks(ctx context.Context, dir string, f *storetest.Fixture, downsampled bool) ([]string, error) {
	raw, err := writeRaw(ctx, dir, f)
	if err != nil || !downsampled {
		return []string{raw}, err
	}
	meta, err := readMeta(raw)
	if err != nil {
		return nil, err
	}
	dirs := []string{raw}
	for _, d := range f.Downsampled() {
		meta.ULID[len(meta.ULID)-1]++ // the next one
		b, err := writeDownsampled(ctx, dir, meta, f.ExternalLabels(), d)
		if err != nil {
			return nil, fmt.Errorf("resolution %s: %w", d.Resolution, err)
		}
		dirs = append(dirs, b)
	}
	return dirs, nil
}

// writeRaw writes the block of the raw data.
func writeRaw(ctx context.Context, dir string, f *storetest.Fixture) (block string, err error) {
	const span = 24 * time.Hour // more than the fixture has
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, span.Milliseconds())
	if err != nil {
		return "", err
	}
	defer errcapture.Do(&err, w.Close, "close block writer")
	app := w.Appender(ctx)
	if err := f.Append(ctx, app); err != nil {
		return "", errors.Join(err, app.Rollback())
	}
	if err := app.Commit(); err != nil {
		return "", err
	}
	id, err := w.Flush(ctx)
	if err != nil {
		return "", err
	}
	block = filepath.Join(dir, id.String())
	meta, err := readMeta(block)
	if err != nil {
		return "", err
	}
	return block, writeMeta(block, meta, f.ExternalLabels(), 0)
}

const metaFile = "meta.json"

func readMeta(block string) (*tsdb.BlockMeta, error) {
	text, err := os.ReadFile(filepath.Join(block, metaFile)) //nolint:gosec // The user names the directory.
	if err != nil {
		return nil, err
	}
	meta := &tsdb.BlockMeta{}
	if err := json.Unmarshal(text, meta); err != nil {
		return nil, fmt.Errorf("decode meta.json of %s: %w", block, err)
	}
	return meta, nil
}

// writeMeta writes what Prometheus wants to know of a block, and Thanos.
func writeMeta(block string, meta *tsdb.BlockMeta, external labels.Labels, resolution time.Duration) error {
	type downsample struct {
		Resolution int64 `json:"resolution"` // ms
	}
	type thanos struct {
		Version    int               `json:"version"`
		Labels     map[string]string `json:"labels"`
		Downsample downsample        `json:"downsample"`
		Source     string            `json:"source"`
	}
	text, err := json.MarshalIndent(struct {
		*tsdb.BlockMeta

		Thanos thanos `json:"thanos"`
	}{meta, thanos{1, external.Map(), downsample{resolution.Milliseconds()}, "storecheck"}}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(block, metaFile), text, 0o666) //nolint:gosec // As Prometheus writes blocks: the umask decides.
}
