package compact_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// start is a multiple of 14 days since 1970, like the ranges.
var start = time.UnixMilli(1420 * 14 * 24 * 3600 * 1000).UTC()

const (
	hour = time.Hour
	day  = 24 * hour
)

// bucket is a bucket of meta.json files and marks. Jobs are carried out on these
// alone.
type bucket struct {
	now    time.Time
	blocks map[ulid.ULID]*compact.Block
	seq    uint64
	// origin are the blocks that were uploaded, by their ULID.
	origin map[ulid.ULID]*block.Meta
}

func newBucket(now time.Time) *bucket {
	return &bucket{now: now, blocks: map[ulid.ULID]*compact.Block{}, origin: map[ulid.ULID]*block.Meta{}}
}

// id returns a new ULID.
func (b *bucket) id() ulid.ULID {
	b.seq++
	var id ulid.ULID
	if err := id.SetTime(uint64(b.now.UnixMilli())); err != nil {
		panic(err)
	}
	for i := range 8 {
		id[15-i] = byte(b.seq >> (8 * i))
	}
	return id
}

// add uploads a block of a range after start, from another component unless change
// says otherwise.
func (b *bucket) add(from, to time.Duration, change ...func(*block.Meta)) ulid.ULID {
	id := b.id()
	m := &block.Meta{
		ULID: id, Version: 1, MinTime: start.Add(from).UnixMilli(), MaxTime: start.Add(to).UnixMilli(),
		Stats:      block.Stats{NumSamples: 100, NumSeries: 10, NumChunks: 10},
		Compaction: block.Compaction{Level: 1, Sources: []ulid.ULID{id}},
		Thanos: block.Thanos{
			Version: 1, Labels: map[string]string{"cluster": "a"}, Source: block.SourceSidecar, UploadTime: b.now.Add(-time.Hour),
			Files: []block.File{{RelPath: "chunks/000001", SizeBytes: 4 << 20}, {RelPath: block.IndexFile, SizeBytes: 1 << 20}},
		},
	}
	for _, f := range change {
		f(m)
	}
	b.blocks[id] = &compact.Block{Meta: m}
	if len(m.Compaction.Sources) == 1 && m.Compaction.Sources[0] == id {
		b.origin[id] = m
	}
	return id
}

func withLabels(pairs ...string) func(*block.Meta) {
	return func(m *block.Meta) {
		m.Thanos.Labels = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m.Thanos.Labels[pairs[i]] = pairs[i+1]
		}
	}
}

func withSources(res block.Resolution, sources ...ulid.ULID) func(*block.Meta) {
	return func(m *block.Meta) {
		m.Thanos.Downsample.Resolution = res
		m.Thanos.Source = block.SourceCompactor
		m.Compaction.Sources = sources
		m.Compaction.Level = 2
	}
}

// mark puts a mark as of now.
func (b *bucket) mark(id ulid.ULID, kind block.MarkKind, reason string) {
	if blk := b.blocks[id]; blk != nil && !blk.Marks[kind].There {
		blk.Marks[kind] = compact.Mark{There: true, Mark: &block.Mark{Kind: kind, Block: id, Time: b.now, Reason: reason}}
	}
}

func (b *bucket) state() *compact.State {
	s := &compact.State{Now: b.now}
	for _, id := range slices.SortedFunc(maps.Keys(b.blocks), ulid.ULID.Compare) {
		s.Blocks = append(s.Blocks, *b.blocks[id])
	}
	return s
}

func (b *bucket) plan(t testing.TB, o *compact.Options) *compact.Plan {
	t.Helper()
	p, err := compact.MakePlan(b.state(), o)
	testutil.Ok(t, err)
	return p
}

// upload carries out one output of a job.
func (b *bucket) upload(j *compact.Job, res block.Resolution) ulid.ULID {
	sources := map[ulid.ULID]bool{}
	level := 0
	for _, m := range j.Sources {
		level = max(level, m.Compaction.Level)
		for _, s := range m.Compaction.Sources {
			sources[s] = true
		}
	}
	if j.Kind == compact.Compact {
		level++
	}
	return b.add(0, 0, func(m *block.Meta) {
		m.MinTime, m.MaxTime = j.MinTime, j.MaxTime
		m.Thanos.Labels = j.Labels
		withSources(res, slices.SortedFunc(maps.Keys(sources), ulid.ULID.Compare)...)(m)
		m.Compaction.Level = level
	})
}

// run carries out a job as a whole.
func (b *bucket) run(j *compact.Job) {
	for _, res := range j.Outputs {
		b.upload(j, res)
	}
	if j.Kind == compact.Compact {
		for _, m := range j.Sources {
			b.mark(m.ULID, block.DeletionMark, "")
		}
	}
}

// apply puts the marks of a plan and deletes.
func (b *bucket) apply(p *compact.Plan) {
	for _, m := range p.Marks {
		b.mark(m.Meta.ULID, m.Mark.Kind, m.Mark.Reason)
	}
	for _, d := range p.Deletes {
		delete(b.blocks, d.Block)
	}
}

// settle makes plans and carries them out until there is nothing left to do.
func (b *bucket) settle(t testing.TB, o *compact.Options) *compact.Plan {
	t.Helper()
	for range 200 {
		p := b.plan(t, o)
		if len(p.Jobs)+len(p.Marks)+len(p.Deletes) == 0 {
			return p
		}
		b.apply(p)
		for i := range p.Jobs {
			b.run(&p.Jobs[i])
		}
		b.now = b.now.Add(time.Minute)
	}
	t.Fatal("no end of jobs")
	return nil
}

// live are the blocks that are not marked for deletion.
func (b *bucket) live() []*block.Meta {
	var out []*block.Meta
	for _, blk := range b.blocks {
		if !blk.Marks[block.DeletionMark].There {
			out = append(out, blk.Meta)
		}
	}
	slices.SortFunc(out, func(x, y *block.Meta) int {
		return cmp.Or(cmp.Compare(x.MinTime, y.MinTime), x.ULID.Compare(y.ULID))
	})
	return out
}

// ranges shows the live blocks of a resolution, "0h-8h", those of other labels than
// cluster=a with these.
func (b *bucket) ranges(res block.Resolution) string {
	var out []string
	for _, m := range b.live() {
		if m.Resolution() != res {
			continue
		}
		r := fmt.Sprintf("%d-%d", (m.MinTime-start.UnixMilli())/3600000, (m.MaxTime-start.UnixMilli())/3600000)
		if l := m.Labels().String(); l != `{cluster="a"}` {
			r += l
		}
		out = append(out, r)
	}
	return strings.Join(out, " ")
}

// jobs shows jobs: "0-2+2-4 -> raw,5m".
func jobs(js []compact.Job) []string {
	var out []string
	for _, j := range js {
		var from, to []string
		for _, m := range j.Sources {
			from = append(from, fmt.Sprintf("%d-%d", (m.MinTime-start.UnixMilli())/3600000, (m.MaxTime-start.UnixMilli())/3600000))
		}
		for _, res := range j.Outputs {
			to = append(to, res.String())
		}
		out = append(out, strings.Join(from, "+")+" -> "+strings.Join(to, ","))
	}
	return out
}
