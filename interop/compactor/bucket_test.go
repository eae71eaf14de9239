package compactor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

// kinds are kinds of buckets.
var kinds = []string{"filesystem", "S3"}

// deleteDelay is how long blocks stay that are marked for deletion: so short that
// they go while the test looks on.
const deleteDelay = 4 * time.Second

// bucket is a bucket that programs and tests know.
type bucket struct {
	objstore.Bucket
	config string // file
	begin  int64  // of its first block, ms
	batch  int    // how many batches of blocks were put into it
	want   map[point]bool
	blocks map[ulid.ULID][]point // what was read of blocks
}

// point is a raw sample.
type point struct {
	series string
	t      int64
	v      float64
}

func newBucket(t testing.TB, kind string) *bucket {
	t.Helper()
	b := &bucket{config: filepath.Join(t.TempDir(), "bucket.yml"), begin: longAgo(), want: map[point]bool{}, blocks: map[ulid.ULID][]point{}}
	yaml := fmt.Sprintf("type: FILESYSTEM\nconfig:\n  directory: %s\n", t.TempDir())
	if kind == "S3" {
		yaml = s3.Start(t).Config("below/a/prefix")
	}
	testutil.Ok(t, os.WriteFile(b.config, []byte(yaml), 0o600))
	var err error
	b.Bucket, err = client.NewBucket(log.NewNopLogger(), []byte(yaml), "test", nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, b.Close()) })
	return b
}

// Of the blocks of one batch.
const (
	hour       = int64(3_600_000)
	batchHours = 8
	step       = 5 * 60_000
)

// longAgo is a multiple of 2 d, in ms.
func longAgo() int64 {
	return time.Now().Add(-60 * 24 * time.Hour).Truncate(48 * time.Hour).UnixMilli()
}

// upload adds the blocks of 8 h of two replicas, which do not scrape at the same
// time, in blocks of 2 h as sidecars upload them.
func (b *bucket) upload(t testing.TB) {
	t.Helper()
	begin := b.begin + int64(b.batch)*batchHours*hour
	b.batch++
	dir := t.TempDir()
	for replica, offset := range map[string]int64{"a": 0, "b": 77_000} {
		for from := begin; from < begin+batchHours*hour; from += 2 * hour {
			b.uploadBlock(t, dir, from, from+2*hour, offset, "eu1", replica)
		}
	}
}

// uploadBlock adds a block of one replica, which scrapes so many ms later than
// others.
func (b *bucket) uploadBlock(t testing.TB, dir string, from, to, offset int64, cluster, replica string) ulid.ULID {
	t.Helper()
	var series []block.Series
	for i := range 20 {
		var samples []blocktest.Sample
		for at := from + offset; at < to; at += step {
			samples = append(samples, blocktest.Sample{T: at, F: float64(at/1000%86400) + float64(i)})
		}
		series = append(series, blocktest.Series(labels.FromStrings("__name__", "requests_total", "i", fmt.Sprint(i)), samples...))
	}
	built := blocktest.Build(t, dir, &blocktest.Options{
		MinTime: from, MaxTime: to, Source: block.SourceSidecar,
		ExternalLabels: labels.FromStrings("cluster", cluster, "replica", replica),
	}, series...)
	m, err := block.Upload(t.Context(), b, built, nil)
	testutil.Ok(t, err)
	for _, p := range b.read(t, m.ULID, built) {
		b.want[p] = true
	}
	return m.ULID
}

// read returns the samples of a block on disk.
func (b *bucket) read(t testing.TB, id ulid.ULID, dir string) (out []point) {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	sb := labels.NewScratchBuilder(0)
	it := r.Series()
	for it.Next() {
		series := it.Labels(&sb).String()
		chunks, err := r.AppendChunks(nil, it.Chunks())
		testutil.Ok(t, err)
		for i := range chunks {
			plain, err := chunks[i].Plain()
			testutil.Ok(t, err)
			samples := plain[0].Iterator(nil)
			for samples.Next() != chunkenc.ValNone {
				at, v := samples.At()
				out = append(out, point{series, at, v})
			}
			testutil.Ok(t, samples.Err())
		}
	}
	testutil.Ok(t, it.Err())
	b.blocks[id] = out
	return out
}

// view returns what readers see that turn away from marked blocks in time.
func (b *bucket) view(t testing.TB) *block.View {
	t.Helper()
	filters, err := block.StandardFilters(&block.FilterOptions{DeletionDelay: deleteDelay / 2, ReplicaLabels: []string{"replica"}})
	testutil.Ok(t, err)
	f, err := block.NewFetcher(b, "", &block.FetcherOptions{Filters: filters})
	testutil.Ok(t, err)
	v, err := f.Fetch(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, v.Incomplete)
	return v
}

// complete fails unless readers see exactly the samples that were uploaded.
func (b *bucket) complete(t testing.TB, when string) {
	t.Helper()
	seen := map[point]bool{}
	for id, m := range b.view(t).Metas {
		if m.Resolution() != block.Raw {
			continue
		}
		points, ok := b.blocks[id]
		if !ok {
			dir := filepath.Join(t.TempDir(), id.String())
			testutil.Ok(t, block.Download(t.Context(), b, id, dir, nil))
			points = b.read(t, id, dir)
		}
		for _, p := range points {
			if !b.want[p] {
				t.Fatalf("%s: sample %v of block %s was never uploaded", when, p, id)
			}
			seen[p] = true
		}
	}
	if len(seen) != len(b.want) {
		t.Fatalf("%s: readers see %d of %d samples", when, len(seen), len(b.want))
	}
}

// tidy fails unless what is in the bucket is as it has to be after a run: no two live
// blocks of a group have sources of which one set contains the other, nor do they
// overlap.
func (b *bucket) tidy(t testing.TB, when string) (live []*block.Meta) {
	t.Helper()
	v := b.view(t)
	for id, m := range v.Metas {
		if !v.Marked(id, block.DeletionMark) {
			live = append(live, m)
		}
		if v.Marked(id, block.NoCompactMark) {
			mark, err := v.Mark(id, block.NoCompactMark)
			t.Fatalf("%s: block %s is marked no-compact: %+v, %v", when, id, mark, err)
		}
	}
	for _, x := range live {
		for _, y := range live {
			if x == y || x.GroupKey() != y.GroupKey() {
				continue
			}
			if x.MinTime < y.MaxTime && y.MinTime < x.MaxTime {
				t.Fatalf("%s: %s and %s overlap", when, describe(x), describe(y))
			}
			if !slices.ContainsFunc(x.Compaction.Sources, func(id ulid.ULID) bool { return !slices.Contains(y.Compaction.Sources, id) }) {
				t.Fatalf("%s: the sources of %s are all among those of %s", when, describe(x), describe(y))
			}
		}
	}
	return live
}

func describe(m *block.Meta) string {
	return fmt.Sprintf("block %s of %s, [%s, %s), level %d, %d sources", m.ULID, m.GroupKey(), time.UnixMilli(m.MinTime).UTC().Format(time.DateTime),
		time.UnixMilli(m.MaxTime).UTC().Format(time.DateTime), m.Compaction.Level, len(m.Compaction.Sources))
}

// spans returns how many blocks there are by resolution and length.
func spans(metas []*block.Meta) map[string]int {
	out := map[string]int{}
	for _, m := range metas {
		out[fmt.Sprintf("%s %dh", m.Resolution(), (m.MaxTime-m.MinTime)/hour)]++
	}
	return out
}

// awaitDeleted waits until nothing is in the bucket that is marked, as seen by
// somebody who runs a compactor meanwhile.
func (b *bucket) awaitDeleted(t testing.TB, run func()) {
	t.Helper()
	proc.Await(t, "deletion of marked blocks", nil, 5*time.Minute, func(ctx context.Context) error {
		run()
		marked := 0
		err := b.Iter(ctx, "", func(name string) error {
			if strings.HasSuffix(name, "/"+block.DeletionMarkFile) {
				marked++
			}
			return nil
		}, objstore.WithRecursiveIter())
		if err == nil && marked > 0 {
			err = fmt.Errorf("%d blocks are marked", marked)
		}
		return err
	})
}

// args are the flags of a program, ours or Thanos', by which all samples of all
// replicas stay: what Thanos does without being told.
func (b *bucket) args(who, dir string) []string {
	args := []string{
		"--objstore.config-file=" + b.config, "--data-dir=" + dir, "--consistency-delay=0s", "--delete-delay=" + deleteDelay.String(),
		"--deduplication.replica-label=replica", "--compact.concurrency=2", "--compact.blocks-fetch-concurrency=2",
	}
	if who == "ours" {
		args = append(args, "--deduplication.func=chain")
	}
	return args
}

// compact runs a program, ours or Thanos', until it has done all.
func (b *bucket) compact(t testing.TB, who, dir string) {
	t.Helper()
	var program string
	args := b.args(who, dir)
	if who == "ours" {
		program = examples.Binary(t, "compactor")
	} else {
		program = proc.Binary(t, "thanos")
		args = append([]string{"compact"}, args...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append(args, "--http-address="+proc.FreeAddr(t))...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", who, errors.Join(err, ctx.Err()), out)
	}
	for _, word := range []string{"level=error", "level=ERROR", "halt", "quarantined=1"} {
		if strings.Contains(string(out), word) {
			t.Errorf("%s says %s:\n%s", who, word, out)
		}
	}
}

// verify has Thanos' own tools look at the bucket.
func (b *bucket) verify(t testing.TB) {
	t.Helper()
	for _, command := range [][]string{{"verify"}, {"verify", "--issues=index_known_issues", "--issues=overlapped_blocks"}} {
		args := append(append([]string{"tools", "bucket"}, command...), "--objstore.config-file="+b.config, "--log.level=warn")
		out, err := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), args...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "level=") {
			t.Errorf("thanos %v: %v\n%s", command, err, out)
		}
	}
}
