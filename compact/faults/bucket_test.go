package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

const (
	hour = int64(time.Hour / time.Millisecond)
	day  = 24 * hour
)

// epoch is where blocks begin: a multiple of 14 d, before the time at which a
// bubble of testing/synctest begins.
var epoch = time.Date(1999, 11, 25, 0, 0, 0, 0, time.UTC).UnixMilli() / (14 * day) * (14 * day)

// spec is a block. Times are in hours from the epoch.
type spec struct {
	n           int // of its ULID
	from, hours int64
	labels      string // value of the external label cluster
	replica     string // of the label replica, if any
	res         block.Resolution
	level       int
	sources     []int // its own if nil
	step        time.Duration
	series      int // 2 if 0
	first       int // of the numbers of series
}

func newID(n int) ulid.ULID {
	var entropy [10]byte
	entropy[8], entropy[9] = byte(n>>8), byte(n)
	var id ulid.ULID
	if err := id.SetTime(uint64(time.Date(1999, 12, 28, 0, 0, 0, 0, time.UTC).UnixMilli() + int64(n))); err != nil {
		panic(err)
	}
	if err := id.SetEntropy(entropy[:]); err != nil {
		panic(err)
	}
	return id
}

func nan() float64 { return math.Float64frombits(value.NormalNaN) }

// objects are those of a bucket by name.
type objects map[string][]byte

// fixture makes the objects of blocks, as an upload leaves them.
func fixture(t testing.TB, specs ...spec) objects {
	t.Helper()
	out := objects{}
	for _, s := range specs {
		maps.Copy(out, fixtureOf(t, s, nil))
	}
	return out
}

// fixtureOf makes the objects of one block, whose series f changes, in whatever way.
func fixtureOf(t testing.TB, s spec, f func([]block.Series)) objects {
	t.Helper()
	out := objects{}
	dir := t.TempDir()
	built := build(t, dir, s, f)
	meta, err := block.ReadMeta(built)
	testutil.Ok(t, err)
	meta.Thanos.UploadTime = time.Date(1999, 12, 29, 0, 0, 0, 0, time.UTC)
	meta.Thanos.Files, err = block.ListFiles(built, "")
	testutil.Ok(t, err)
	for _, f := range meta.Thanos.Files {
		b, err := os.ReadFile(filepath.Join(built, filepath.FromSlash(f.RelPath)))
		testutil.Ok(t, err)
		if f.RelPath == block.MetaFile {
			b, err = meta.Encode()
			testutil.Ok(t, err)
		}
		out[block.ObjectName(meta.ULID, f.RelPath)] = b
	}
	return out
}

func build(t testing.TB, dir string, s spec, f func([]block.Series)) string {
	t.Helper()
	lset := map[string]string{"cluster": s.labels}
	if s.replica != "" {
		lset["replica"] = s.replica
	}
	if s.step == 0 {
		s.step = 30 * time.Minute
	}
	if s.series == 0 {
		s.series = 2
	}
	var sources []ulid.ULID
	for _, n := range s.sources {
		sources = append(sources, newID(n))
	}
	from, to := epoch+s.from*hour, epoch+(s.from+s.hours)*hour
	var series []block.Series
	for i := range s.series {
		var samples []blocktest.Sample
		for at := from; at < to; at += s.step.Milliseconds() {
			samples = append(samples, blocktest.Sample{T: at, F: float64((at-epoch)/1000 + int64(i))})
		}
		series = append(series, blocktest.Series(labels.FromStrings(labels.MetricName, "m", "i", fmt.Sprint(s.first+i)), samples...))
	}
	if f != nil {
		f(series)
	}
	return blocktest.Build(t, dir, &blocktest.Options{
		Unchecked: f != nil,
		ULID:      newID(s.n), MinTime: from, MaxTime: to, ExternalLabels: labels.FromMap(lset),
		Level: s.level, Sources: sources, Resolution: s.res, Source: block.SourceSidecar,
	}, series...)
}

// bucket returns a bucket in memory with these objects.
func (o objects) bucket(t testing.TB) *objstore.InMemBucket {
	t.Helper()
	bkt := objstore.NewInMemBucket()
	o.upload(t, bkt)
	return bkt
}

func (o objects) upload(t testing.TB, bkt objstore.Bucket) {
	t.Helper()
	for name, b := range o {
		testutil.Ok(t, bkt.Upload(context.Background(), name, bytes.NewReader(b)))
	}
}

// point is a sample of a series, by its labels, external ones without replica among
// them.
type point struct {
	series string
	t      int64
	v      float64
}

// reader reads what is in a bucket as Thanos' store gateway does. Blocks never
// change, so what was in one is remembered.
type reader struct {
	replica []string
	mu      sync.Mutex
	blocks  map[ulid.ULID][]point
}

func newReader(replica ...string) *reader {
	return &reader{replica: replica, blocks: map[ulid.ULID][]point{}}
}

// ignoreDelay is after which time Thanos' store gateway turns away from marked
// blocks.
const ignoreDelay = 24 * time.Hour

// view returns the blocks that readers see.
func (r *reader) view(t testing.TB, bkt objstore.Bucket) *block.View {
	t.Helper()
	filters, err := block.StandardFilters(&block.FilterOptions{DeletionDelay: ignoreDelay, ReplicaLabels: r.replica})
	testutil.Ok(t, err)
	return fetch(t, bkt, filters)
}

func fetch(t testing.TB, bkt objstore.Bucket, filters []block.Filter) *block.View {
	t.Helper()
	f, err := block.NewFetcher(bkt, "", &block.FetcherOptions{Filters: filters})
	testutil.Ok(t, err)
	v, err := f.Fetch(context.Background())
	testutil.Ok(t, err)
	testutil.Ok(t, v.Incomplete)
	return v
}

// raw returns all samples of raw blocks that readers see.
func (r *reader) raw(t testing.TB, bkt objstore.Bucket) map[point]bool {
	t.Helper()
	seen := map[point]bool{}
	for id, m := range r.view(t, bkt).Metas {
		if m.Resolution() != block.Raw {
			continue
		}
		for _, p := range r.points(t, bkt, id, m) {
			seen[p] = true
		}
	}
	return seen
}

func (r *reader) points(t testing.TB, bkt objstore.Bucket, id ulid.ULID, m *block.Meta) (out []point) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.blocks[id]; ok {
		return known
	}
	dir := filepath.Join(t.TempDir(), id.String())
	testutil.Ok(t, block.Download(context.Background(), bkt, id, dir, nil))
	br, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, br.Close()) }()
	sb := labels.NewScratchBuilder(0)
	external := labels.FromMap(m.Thanos.Labels).String()
	it := br.Series()
	for it.Next() {
		series := external + it.Labels(&sb).String()
		chunks, err := br.AppendChunks(nil, it.Chunks())
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
	r.blocks[id] = out
	return out
}

// sees fails unless readers see exactly these samples in raw blocks.
func (r *reader) sees(t testing.TB, bkt objstore.Bucket, want map[point]bool, when string) {
	t.Helper()
	got := r.raw(t, bkt)
	if maps.Equal(got, want) {
		return
	}
	missing, more := 0, 0
	var example point
	for p := range want {
		if !got[p] {
			missing++
			example = p
		}
	}
	for p := range got {
		if !want[p] {
			more++
		}
	}
	t.Fatalf("%s: readers do not see %d of %d samples, such as %v, and %d that there were not\n%s", when, missing, len(want), example, more, list(t, bkt))
}

// live returns what is in a bucket that is not to be deleted, replica labels
// removed.
func live(t testing.TB, bkt objstore.Bucket, replica ...string) []*block.Meta {
	t.Helper()
	var filters []block.Filter
	if len(replica) > 0 {
		filters = append(filters, block.ReplicaLabels(replica...))
	}
	v := fetch(t, bkt, filters)
	var out []*block.Meta
	for id, m := range v.Metas {
		if !v.Marked(id, block.DeletionMark) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *block.Meta) int { return strings.Compare(describe(a), describe(b)) })
	return out
}

// describe says of a block all but which one it is.
func describe(m *block.Meta) string {
	return fmt.Sprintf("%s [%d, %d) level %d, %d series, %d samples, %d sources %v", m.GroupKey(),
		(m.MinTime-epoch)/hour, (m.MaxTime-epoch)/hour, m.Compaction.Level, m.Stats.NumSeries, m.Stats.NumSamples,
		len(m.Compaction.Sources), m.Compaction.Sources)
}

// state returns what is in a bucket, as text in which runs with the same result do
// not differ.
func state(t testing.TB, bkt objstore.Bucket, replica ...string) string {
	t.Helper()
	var b strings.Builder
	for _, m := range live(t, bkt, replica...) {
		fmt.Fprintln(&b, describe(m))
	}
	return b.String()
}

// list returns all that is in a bucket.
func list(t testing.TB, bkt objstore.Bucket) string {
	t.Helper()
	var lines []string
	v := fetch(t, bkt, nil)
	for id, m := range v.Metas {
		line := fmt.Sprintf("%s %s", id, describe(m))
		for _, kind := range []block.MarkKind{block.DeletionMark, block.NoCompactMark, block.NoDownsampleMark} {
			if mark, _ := v.Mark(id, kind); mark != nil {
				line += fmt.Sprintf(", %s mark %s %s %s", kind, mark.Time.UTC().Format(time.DateTime), mark.Reason, mark.Details)
			}
		}
		lines = append(lines, line)
	}
	for id, err := range v.Partial {
		lines = append(lines, fmt.Sprintf("%s: %v", id, err))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// noneWithin fails if there are two live blocks of a group with sources of which
// one set contains the other.
func noneWithin(t testing.TB, bkt objstore.Bucket, replica ...string) {
	t.Helper()
	metas := live(t, bkt, replica...)
	for _, a := range metas {
		for _, b := range metas {
			if a == b || a.GroupKey() != b.GroupKey() {
				continue
			}
			if !slices.ContainsFunc(a.Compaction.Sources, func(id ulid.ULID) bool { return !slices.Contains(b.Compaction.Sources, id) }) {
				t.Fatalf("sources of %s are all among those of %s\n%s", a.ULID, b.ULID, list(t, bkt))
			}
		}
	}
}
