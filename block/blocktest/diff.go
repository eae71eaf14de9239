package blocktest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// maxDifferences is how many differences a diff shows.
const maxDifferences = 20

// Diff compares two blocks on disk: their series, sample by sample and bit by
// bit; where those are the same, their chunks; then what meta.json says, but for
// ULIDs, files, and how the block came to be. It returns a line for each
// difference, at most 20 and how many more there are, and nothing if there is
// none.
//
// Errors: if a block cannot be read.
func Diff(a, b string) (string, error) { return diff(a, b, true) }

// DiffSamples is Diff of series and samples alone: how samples are cut into
// chunks makes no difference.
func DiffSamples(a, b string) (string, error) { return diff(a, b, false) }

func diff(a, b string, structure bool) (_ string, err error) {
	ra, err := block.Open(a)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ra.Close()) }()
	rb, err := block.Open(b)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rb.Close()) }()
	d := &differ{structure: structure}
	if err := d.series(ra, rb); err != nil {
		return "", err
	}
	if structure {
		d.meta(ra.Meta(), rb.Meta())
	}
	return d.String(), nil
}

// differ gathers differences.
type differ struct {
	structure bool
	lines     []string
	more      int
}

func (d *differ) addf(format string, args ...any) {
	if len(d.lines) == maxDifferences {
		d.more++
		return
	}
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *differ) String() string {
	lines := d.lines
	if d.more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more differences", d.more))
	}
	return strings.Join(lines, "\n")
}

// side is one of the two blocks, at a series.
type side struct {
	r    *block.Reader
	it   *block.SeriesIter
	sb   labels.ScratchBuilder
	lset labels.Labels
	ok   bool
}

func newSide(r *block.Reader) *side {
	s := &side{r: r, it: r.Series(), sb: labels.NewScratchBuilder(0)}
	s.next()
	return s
}

func (s *side) next() {
	if s.ok = s.it.Next(); s.ok {
		s.lset = s.it.Labels(&s.sb)
	}
}

func (d *differ) series(ra, rb *block.Reader) error {
	a, b := newSide(ra), newSide(rb)
	for a.ok || b.ok {
		var order int
		switch {
		case !a.ok:
			order = 1
		case !b.ok:
			order = -1
		default:
			order = labels.Compare(a.lset, b.lset)
		}
		switch {
		case order < 0:
			d.addf("series %s: only in the first block", a.lset)
			a.next()
		case order > 0:
			d.addf("series %s: only in the second block", b.lset)
			b.next()
		default:
			if err := d.chunks(a, b); err != nil {
				return err
			}
			a.next()
			b.next()
		}
	}
	return errors.Join(a.it.Err(), b.it.Err())
}

// chunks compares one series.
func (d *differ) chunks(a, b *side) error {
	ca, err := a.r.AppendChunks(nil, a.it.Chunks())
	if err != nil {
		return err
	}
	cb, err := b.r.AppendChunks(nil, b.it.Chunks())
	if err != nil {
		return err
	}
	if sameChunks(ca, cb) {
		return nil
	}
	sa, err := decode(ca)
	if err != nil {
		return fmt.Errorf("series %s of the first block: %w", a.lset, err)
	}
	sb, err := decode(cb)
	if err != nil {
		return fmt.Errorf("series %s of the second block: %w", b.lset, err)
	}
	same := true
	for k, name := range trackNames() {
		if line := diffSamples(sa[k], sb[k]); line != "" {
			same = false
			d.addf("series %s: %s%s", a.lset, name, line)
		}
	}
	if same && d.structure {
		d.addf("series %s: %s", a.lset, diffChunks(ca, cb))
	}
	return nil
}

func sameChunks(a, b []block.Chunk) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameChunk(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameChunk(a, b *block.Chunk) bool {
	return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && a.Encoding == b.Encoding && bytes.Equal(a.Data, b.Data)
}

// tracks are the samples of a series: raw ones, then those of each aggregate.
type tracks [1 + aggr.Kinds][]Sample

func trackNames() (names [1 + aggr.Kinds]string) {
	for k := range aggr.Kinds {
		names[1+k] = k.String() + ": "
	}
	return names
}

func decode(chunks []block.Chunk) (out tracks, err error) {
	for i := range chunks {
		plain, err := chunks[i].Plain()
		if err != nil {
			return out, err
		}
		first := 0
		if chunks[i].Encoding == block.EncodingAggregates {
			first = 1
		}
		for k, p := range plain {
			if p == nil {
				continue
			}
			if out[first+k], err = appendSamples(out[first+k], p); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// diffSamples says where two runs of samples first differ, or nothing.
func diffSamples(a, b []Sample) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return fmt.Sprintf("the second block has %d samples more, from %s on", len(b)-i, b[i])
		case i >= len(b):
			return fmt.Sprintf("the first block has %d samples more, from %s on", len(a)-i, a[i])
		case a[i].String() != b[i].String():
			return fmt.Sprintf("sample %d is %s, and %s in the second block", i, a[i], b[i])
		}
	}
	return ""
}

// diffChunks says where chunks with the same samples first differ.
func diffChunks(a, b []block.Chunk) string {
	for i := range min(len(a), len(b)) {
		switch a, b := &a[i], &b[i]; {
		case a.MinTime != b.MinTime || a.MaxTime != b.MaxTime:
			return fmt.Sprintf("chunk %d is [%d, %d], and [%d, %d] in the second block", i, a.MinTime, a.MaxTime, b.MinTime, b.MaxTime)
		case a.Encoding != b.Encoding:
			return fmt.Sprintf("chunk %d has encoding %d, and %d in the second block", i, a.Encoding, b.Encoding)
		case !bytes.Equal(a.Data, b.Data):
			return fmt.Sprintf("chunk %d has the same samples in other bytes", i)
		}
	}
	return fmt.Sprintf("%d chunks, and %d in the second block", len(a), len(b))
}

func (d *differ) meta(a, b *block.Meta) {
	if a.MinTime != b.MinTime || a.MaxTime != b.MaxTime {
		d.addf("meta.json: range is [%d, %d), and [%d, %d) in the second block", a.MinTime, a.MaxTime, b.MinTime, b.MaxTime)
	}
	if a.Resolution() != b.Resolution() {
		d.addf("meta.json: resolution is %s, and %s in the second block", a.Resolution(), b.Resolution())
	}
	if !labels.Equal(a.Labels(), b.Labels()) {
		d.addf("meta.json: external labels are %s, and %s in the second block", a.Labels(), b.Labels())
	}
	if a.Stats != b.Stats {
		d.addf("meta.json: stats are %+v, and %+v in the second block", a.Stats, b.Stats)
	}
}
