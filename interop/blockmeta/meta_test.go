package blockmeta_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tombstones"
	"github.com/thanos-io/thanos/pkg/block/metadata"

	"github.com/thanoskit/thanoskit/block"
)

// random makes Thanos' structures, for one seed always the same.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

// id is one of few, so that blocks share sources; never zero.
func (r random) id(of int) ulid.ULID {
	id := ulid.MustParse("01EMS4F6G00000000000000000")
	binary.BigEndian.PutUint64(id[8:], uint64(r.IntN(of)+1))
	return id
}

func (r random) ids(n, of int) []ulid.ULID {
	var ids []ulid.ULID
	for range r.IntN(n + 1) {
		ids = append(ids, r.id(of))
	}
	return ids
}

func (r random) text() string {
	return []string{"", "a", "x y", `"<&>\`, "ü", "\u2028", "\x00", strings.Repeat("z", 40)}[r.IntN(8)]
}

func (r random) labels() map[string]string {
	if r.chance(10) {
		return nil
	}
	ls := map[string]string{}
	for range r.IntN(4) {
		ls[[]string{"cluster", "replica", "tenant", "ü"}[r.IntN(4)]] = []string{"a", "b", `"<x>`}[r.IntN(3)]
	}
	return ls
}

// meta has every field, or not.
func (r random) meta() *metadata.Meta {
	m := &metadata.Meta{BlockMeta: tsdb.BlockMeta{
		ULID:    r.id(1 << 30),
		MinTime: r.Int64N(1 << 40),
		Version: 1,
		Compaction: tsdb.BlockMetaCompaction{
			Level: r.IntN(5), Sources: r.ids(4, 20), Deletable: r.chance(20), Failed: r.chance(20),
		},
	}}
	m.MaxTime = m.MinTime + r.Int64N(1<<30)
	if r.chance(70) {
		m.Stats = tsdb.BlockStats{NumSamples: r.Uint64(), NumFloatSamples: uint64(r.IntN(2)), NumHistogramSamples: 3, NumSeries: 4, NumChunks: 5, NumTombstones: uint64(r.IntN(2))}
	}
	for range r.IntN(3) {
		m.Compaction.Parents = append(m.Compaction.Parents, tsdb.BlockDesc{ULID: r.id(9), MinTime: -r.Int64N(9), MaxTime: r.Int64N(9)})
	}
	if r.chance(20) {
		m.Compaction.Hints = []string{"from-out-of-order", r.text()}
	}
	m.Thanos = r.thanos()
	return m
}

func (r random) thanos() metadata.Thanos {
	t := metadata.Thanos{
		Version:    r.IntN(2),
		Labels:     r.labels(),
		Downsample: metadata.ThanosDownsample{Resolution: []int64{0, 300_000, 3_600_000}[r.IntN(3)]},
		Source:     []metadata.SourceType{"", "sidecar", "receive", "compactor", "compactor.repair", "bucket.repair", "bucket.rewrite", "ruler"}[r.IntN(8)],
	}
	for i := range r.IntN(4) {
		f := metadata.File{RelPath: fmt.Sprintf("chunks/%06d", i+1), SizeBytes: r.Int64N(1000)}
		if r.chance(50) {
			f.Hash = &metadata.ObjectHash{Func: metadata.SHA256Func, Value: r.text()}
		}
		t.Files = append(t.Files, f)
		if r.chance(50) {
			t.SegmentFiles = append(t.SegmentFiles, fmt.Sprintf("%06d", i+1))
		}
	}
	for range r.IntN(2) {
		t.Rewrites = append(t.Rewrites, r.rewrite())
	}
	if r.chance(50) {
		t.IndexStats = metadata.IndexStats{SeriesMaxSize: r.Int64N(9), ChunkMaxSize: r.Int64N(9)}
	}
	if r.chance(50) {
		t.Extensions = []any{map[string]any{"b": 1.5, "a": []any{nil, true, "<x>"}}, "x", 7.0, []any{}, nil}[r.IntN(5)]
	}
	if r.chance(60) {
		t.UploadTime = time.Unix(r.Int64N(1<<32), r.Int64N(1e9)).UTC()
	}
	return t
}

func (r random) rewrite() metadata.Rewrite {
	rw := metadata.Rewrite{Sources: r.ids(2, 9)}
	if r.chance(60) {
		d := metadata.DeletionRequest{RequestID: r.text()}
		for range r.IntN(3) {
			d.Matchers = append(d.Matchers, labels.MustNewMatcher(labels.MatchType(r.IntN(4)), "job", "x.*"))
		}
		for range r.IntN(2) {
			d.Intervals = append(d.Intervals, tombstones.Interval{Mint: -5, Maxt: r.Int64N(9)})
		}
		rw.DeletionsApplied = append(rw.DeletionsApplied, d)
	}
	if r.chance(60) {
		c := relabel.DefaultRelabelConfig
		c.SourceLabels, c.Regex, c.Action = model.LabelNames{"a", "b"}, relabel.MustNewRegexp("x|y"), relabel.Drop
		rw.RelabelsApplied = append(rw.RelabelsApplied, &c)
	}
	return rw
}

// theirs returns the bytes that Thanos writes.
func theirs(t testing.TB, m *metadata.Meta) []byte {
	t.Helper()
	var b bytes.Buffer
	testutil.Ok(t, m.Write(&b))
	return b.Bytes()
}

// Whatever Thanos writes, we write again when we have read it; and Thanos reads
// the same from it. A missing map of labels is an empty one for both.
func TestMetaBytes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		in := newRandom(seed).meta()
		written := theirs(t, in)
		ours, err := block.ParseMeta(written)
		testutil.Ok(t, err)
		got, err := ours.Encode()
		testutil.Ok(t, err)
		read, err := metadata.Read(io.NopCloser(bytes.NewReader(written)))
		testutil.Ok(t, err)
		testutil.Equals(t, string(theirs(t, read)), string(got))
		again, err := metadata.Read(io.NopCloser(bytes.NewReader(got)))
		testutil.Ok(t, err)
		testutil.Equals(t, string(theirs(t, read)), string(theirs(t, again)))
		testutil.Equals(t, labels.FromMap(in.Thanos.Labels), ours.Labels())
		testutil.Equals(t, in.Thanos.Downsample.Resolution, int64(ours.Resolution()))
	}
}

// Those are the same structures, field by field, or Thanos has learned something
// that we lose.
func TestMetaFields(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		in := newRandom(seed).meta()
		ours, err := block.ParseMeta(theirs(t, in))
		testutil.Ok(t, err)
		a, err := json.Marshal(ours.Thanos)
		testutil.Ok(t, err)
		var back metadata.Thanos
		decoder := json.NewDecoder(bytes.NewReader(a))
		decoder.DisallowUnknownFields()
		testutil.Ok(t, decoder.Decode(&back))
	}
}

func TestMarkBytes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := newRandom(seed)
		id, at, details := r.id(9), r.Int64N(1<<33)+1, r.text()
		for kind, mark := range map[block.MarkKind]any{
			block.DeletionMark:     metadata.DeletionMark{ID: id, Version: 1, Details: details, DeletionTime: at},
			block.NoCompactMark:    metadata.NoCompactMark{ID: id, Version: 1, Details: details, NoCompactTime: at, Reason: metadata.OutOfOrderChunksNoCompactReason},
			block.NoDownsampleMark: metadata.NoDownsampleMark{ID: id, Version: 1, Details: details, NoDownsampleTime: at, Reason: metadata.ManualNoDownsampleReason},
		} {
			written, err := json.Marshal(mark)
			testutil.Ok(t, err)
			ours, err := block.ParseMark(id, kind, written)
			testutil.Ok(t, err)
			testutil.Equals(t, at, ours.Time.Unix())
			got, err := ours.Encode()
			testutil.Ok(t, err)
			testutil.Equals(t, string(written), string(got))
		}
	}
	for ours, theirs := range map[string]metadata.NoCompactReason{
		block.ReasonManual:              metadata.ManualNoCompactReason,
		block.ReasonIndexSize:           metadata.IndexSizeExceedingNoCompactReason,
		block.ReasonOutOfOrderChunks:    metadata.OutOfOrderChunksNoCompactReason,
		block.ReasonDownsampledVertical: metadata.DownsampleVerticalCompactionNoCompactReason,
	} {
		testutil.Equals(t, string(theirs), ours)
	}
}
