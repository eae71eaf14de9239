package compactplan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/thanos/pkg/block/metadata"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

const day = 24 * time.Hour

// blocks are those of a bucket. There is nothing of them but meta.json and marks.
type blocks struct {
	now  time.Time
	seq  int
	all  map[ulid.ULID]*block.Meta
	mark map[ulid.ULID]bool // no-compact
}

func (b *blocks) add(from, to int64, change func(*block.Meta)) *block.Meta {
	b.seq++
	id := ulid.MustNew(uint64(max(to, 0)), bytes.NewReader([]byte{0, 0, 0, 0, 0, 0, 0, 0, byte(b.seq >> 8), byte(b.seq)}))
	m := &block.Meta{
		ULID: id, Version: 1, MinTime: from, MaxTime: to,
		Stats:      block.Stats{NumSamples: 1, NumSeries: 1, NumChunks: 1},
		Compaction: block.Compaction{Level: 1, Sources: []ulid.ULID{id}},
		Thanos: block.Thanos{
			Version: 1, Labels: map[string]string{"cluster": "a"}, Source: block.SourceSidecar,
			Files: []block.File{{RelPath: block.IndexFile, SizeBytes: 1 << 20}},
		},
	}
	change(m)
	b.all[id] = m
	return m
}

// theirs converts a meta.json by way of its bytes.
func theirs(t testing.TB, m *block.Meta) *metadata.Meta {
	t.Helper()
	data, err := m.Encode()
	testutil.Ok(t, err)
	out := &metadata.Meta{}
	testutil.Ok(t, json.Unmarshal(data, out))
	return out
}

// metas are all blocks as Thanos has them.
func (b *blocks) metas(t testing.TB) map[ulid.ULID]*metadata.Meta {
	out := map[ulid.ULID]*metadata.Meta{}
	for id, m := range b.all {
		out[id] = theirs(t, m)
	}
	return out
}

// bucket is a bucket with the marks.
func (b *blocks) bucket(t testing.TB) objstore.InstrumentedBucket {
	bkt := objstore.WithNoopInstr(objstore.NewInMemBucket())
	for id := range b.mark {
		_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.NoCompactMark, Block: id, Reason: block.ReasonManual})
		testutil.Ok(t, err)
	}
	return bkt
}

func (b *blocks) state() *compact.State {
	s := &compact.State{Now: b.now}
	for id, m := range b.all {
		blk := compact.Block{Meta: m}
		if b.mark[id] {
			blk.Marks[block.NoCompactMark] = compact.Mark{There: true, Mark: &block.Mark{Kind: block.NoCompactMark, Block: id, Reason: block.ReasonManual}}
		}
		s.Blocks = append(s.Blocks, blk)
	}
	return s
}

func (b *blocks) plan(t testing.TB, o *compact.Options) *compact.Plan {
	p, err := compact.MakePlan(b.state(), o)
	testutil.Ok(t, err)
	return p
}

// merge replaces blocks by one that is made of them.
func (b *blocks) merge(sources []*block.Meta) {
	from, to := sources[0].MinTime, sources[0].MaxTime
	ids := map[ulid.ULID]bool{}
	var index int64
	for _, m := range sources {
		index += m.IndexSize()
		from, to = min(from, m.MinTime), max(to, m.MaxTime)
		for _, id := range m.Compaction.Sources {
			ids[id] = true
		}
		delete(b.all, m.ULID)
		delete(b.mark, m.ULID)
	}
	b.add(from, to, func(m *block.Meta) {
		m.Thanos.Labels, m.Thanos.Downsample = sources[0].Thanos.Labels, sources[0].Thanos.Downsample
		m.Thanos.Source = block.SourceCompactor
		m.Thanos.Files[0].SizeBytes = index
		m.Compaction = block.Compaction{Level: 2, Sources: slices.SortedFunc(maps.Keys(ids), ulid.ULID.Compare)}
	})
}

// mergeAll merges what was picked of each group.
func (b *blocks) mergeAll(picked map[string][]ulid.ULID) {
	for _, key := range slices.Sorted(maps.Keys(picked)) {
		var sources []*block.Meta
		for _, id := range picked[key] {
			sources = append(sources, b.all[id])
		}
		b.merge(sources)
	}
}

func (b *blocks) clone() *blocks {
	c := *b
	c.all, c.mark = maps.Clone(b.all), maps.Clone(b.mark)
	return &c
}

// String shows blocks by their group, range and sources, which do not depend on
// who has made them.
func (b *blocks) String() string {
	var out []string
	for id, m := range b.all {
		s := fmt.Sprintf("%s %d-%d %v", m.GroupKey(), m.MinTime/1000, m.MaxTime/1000, m.Compaction.Sources)
		if b.mark[id] {
			s += " no-compact"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// random returns blocks of two streams and all resolutions with gaps, late and
// long ones among them, some of which overlap if they may.
func random(r *rand.Rand, overlap bool) *blocks {
	b := &blocks{all: map[ulid.ULID]*block.Meta{}, mark: map[ulid.ULID]bool{}}
	hour := time.Hour.Milliseconds()
	spans := []int64{hour, 2 * hour, 2 * hour, 2 * hour, 2 * hour, 8 * hour, 48 * hour, 3 * hour, 336 * hour}
	for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
		for s := range 2 {
			at := int64(r.IntN(2000)) * hour
			if r.IntN(10) == 0 {
				at = -at // Before 1970.
			}
			for range r.IntN(60) {
				span := spans[r.IntN(len(spans))]
				if r.IntN(10) > 0 {
					at = (at + span - 1) / span * span
				}
				from := at
				if overlap && r.IntN(20) == 0 {
					from -= int64(r.IntN(20)) * hour
				}
				at += span
				if at < 0 {
					at = 0
				}
				if from >= at {
					continue
				}
				m := b.add(from, at, func(m *block.Meta) {
					m.Thanos.Labels = map[string]string{"cluster": fmt.Sprint(s)}
					m.Thanos.Downsample.Resolution = res
					m.Thanos.Files[0].SizeBytes = 1 + r.Int64N(100)
					m.Stats.NumTombstones = uint64(max(0, r.IntN(40)-38))
					m.Compaction.Failed = r.IntN(60) == 0
				})
				if r.IntN(25) == 0 {
					b.mark[m.ULID] = true
				}
			}
		}
	}
	b.now = time.UnixMilli(20000 * hour)
	return b
}

// r2 is a reader of random bytes.
type r2 struct{ *rand.Rand }

func (r r2) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}
