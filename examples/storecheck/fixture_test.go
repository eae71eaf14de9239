package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// TestFixtureBlock: what is written is the fixture, read as a Prometheus reads
// it.
func TestFixtureBlock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	got := storecheck(t, "-fixture", dir, `-external-label=cluster="c1"`)
	testutil.Equals(t, 0, got.status, got.log)
	block, config, _ := strings.Cut(got.out, "\n")
	testutil.Equals(t, dir, filepath.Dir(block))
	testutil.Equals(t, "global:\n  external_labels:\n    cluster: \"c1\"\n", config)

	again := storecheck(t, "-fixture", dir)
	testutil.Equals(t, outcome{2, "", "storecheck: write fixture: " + dir + " has blocks already: " + filepath.Join(block, "meta.json") + "\n"}, again)

	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	addr := serve(t, store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(labels.FromStrings("cluster", "c1"))))
	got = storecheck(t, "-fixture-check", addr, `-external-label=cluster="c1"`)
	testutil.Equals(t, 0, got.status, got.out)
}

// TestDownsampledBlocks reads back what a store gateway would.
func TestDownsampledBlocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	dirs, err := writeBlocks(t.Context(), dir, f, true)
	testutil.Ok(t, err)
	down := f.Downsampled()
	testutil.Equals(t, 1+len(down), len(dirs))
	for i, d := range down {
		block := dirs[i+1]
		meta, err := readMeta(block)
		testutil.Ok(t, err)
		testutil.Equals(t, filepath.Base(block), meta.ULID.String())
		text, err := os.ReadFile(filepath.Join(block, metaFile))
		testutil.Ok(t, err)
		testutil.Assert(t, strings.Contains(string(text), `"job": "external"`), string(text))

		ir, err := index.NewFileReader(filepath.Join(block, "index"), index.DecodePostingsRaw)
		testutil.Ok(t, err)
		cr, err := chunks.NewDirReader(filepath.Join(block, "chunks"), anyChunk{})
		testutil.Ok(t, err)
		p, err := ir.Postings(t.Context(), labels.MetricName, d.Series.Labels.Get(labels.MetricName))
		testutil.Ok(t, err)
		testutil.Assert(t, p.Next())
		b := labels.NewScratchBuilder(0)
		var metas []chunks.Meta
		testutil.Ok(t, ir.Series(p.At(), &b, &metas))
		testutil.Equals(t, d.Series.Labels.String(), b.Labels().String())
		testutil.Equals(t, len(d.Series.Chunks), len(metas))
		for k, want := range d.Series.Chunks {
			testutil.Equals(t, [2]int64{want.MinTime, want.MaxTime}, [2]int64{metas[k].MinTime, metas[k].MaxTime})
			testutil.Assert(t, meta.MinTime <= want.MinTime && want.MaxTime < meta.MaxTime)
			c, _, err := cr.ChunkOrIterable(metas[k])
			testutil.Ok(t, err)
			testutil.Equals(t, encAggregates, c.Encoding())
			testutil.Equals(t, encode(want.Aggregated), c.Bytes())
		}
		testutil.Ok(t, cr.Close())
		testutil.Ok(t, ir.Close())
	}
}

// TestEncodeAggregates: the layout byte by byte, an absent aggregate too.
func TestEncodeAggregates(t *testing.T) {
	t.Parallel()
	d := func(s string) store.ChunkData { return store.ChunkData{Encoding: 1, Bytes: []byte(s)} }
	testutil.Equals(t, "\x01\x01c\x02\x01ss\x00\x01\x01M\x03\x01ctr", string(encode(&store.AggregatedChunk{Count: d("c"), Sum: d("ss"), Max: d("M"), Counter: d("ctr")})))
}

func TestFixtureUnwritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	testutil.Ok(t, os.WriteFile(file, nil, 0o600))
	got := storecheck(t, "-fixture", file)
	testutil.Equals(t, 2, got.status)
	testutil.Assert(t, strings.Contains(got.log, "write fixture: "), got.log)
}

// anyChunk is a pool that makes chunks of any encoding.
type anyChunk struct{}

func (anyChunk) Put(chunkenc.Chunk) error { return nil }

func (anyChunk) Get(e chunkenc.Encoding, b []byte) (chunkenc.Chunk, error) {
	if e != encAggregates {
		return chunkenc.FromData(e, b)
	}
	return aggregateChunk{data: b}, nil
}
