package query

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// collector takes the answer to a select, and makes series of it. It takes
// frames and plain series; either's chunk bytes stay where they are.
type collector struct {
	sel *selection
	req *store.SeriesRequest

	// parts are in the order in which they came, and sorted says that they are in
	// order of their keys, too.
	parts  []part
	sorted bool
	chunks chunkPages
	keys   []byte // the page that keys are added to
	// frames are retained, since chunks, and keys, are views of them.
	frames   []*encoded.Frame
	warnings []error

	// last is the label set received last, as it was received, in canonical form;
	// buf is its memory, and that of the next one, if its frame is gone.
	last []byte
	buf  [2][]byte

	replicas replicaTable
	rewrite  encoded.Rewrite // removes replica labels
	scratch  labels.ScratchBuilder
}

// part is what one replica has of a series.
type part struct {
	// key is the label set as it is returned, in canonical form; lset is the same
	// if it was received so.
	key     []byte
	lset    labels.Labels
	replica int32 // in the collector's table; 0 if replicas are not told apart
	chunks  []chunk
}

func newCollector(sel *selection, req *store.SeriesRequest) *collector {
	return &collector{
		sel: sel, req: req, sorted: true, replicas: newReplicaTable(sel.replicaLabels),
		rewrite: encoded.NewRewrite(labels.EmptyLabels(), sel.replicaLabels), scratch: labels.NewScratchBuilder(0),
	}
}

// Warn implements store.SeriesWriter.
func (c *collector) Warn(err error) error {
	c.warnings = append(c.warnings, err)
	c.req.Outcome.AddWarning(err)
	return nil
}

// Send implements store.SeriesWriter.
func (c *collector) Send(s *store.Series) error {
	lset := encoded.AppendLabels(c.buf[1][:0], s.Labels)
	c.buf[0], c.buf[1] = lset, c.buf[0]
	order := 1
	if len(c.parts) > 0 {
		order = encoded.CompareLabels(lset, c.last)
	}
	if order != 0 {
		if err := c.begin(order, lset, s.Labels, false); err != nil {
			return err
		}
	}
	c.last = lset
	if c.req.SkipChunks {
		return nil
	}
	for i := range s.Chunks {
		e := encodedChunk(&s.Chunks[i])
		if err := c.add(&e); err != nil {
			return err
		}
	}
	return nil
}

// encodedChunk is c in the form that chunks have in frames.
func encodedChunk(c *store.Chunk) encoded.Chunk {
	out := encoded.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: encoded.Data(c.Raw)}
	if a := c.Aggregated; a != nil {
		out.Aggregates = &encoded.Aggregates{
			Count: encoded.Data(a.Count), Sum: encoded.Data(a.Sum), Min: encoded.Data(a.Min), Max: encoded.Data(a.Max), Counter: encoded.Data(a.Counter),
		}
	}
	return out
}

// SendFrame implements encoded.Writer.
func (c *collector) SendFrame(f *encoded.Frame) error {
	if !c.req.SkipChunks {
		f.Retain()
		c.frames = append(c.frames, f)
	}
	c.parts = slices.Grow(c.parts, len(f.Series))
	for i := range f.Series {
		if err := c.sendEncoded(&f.Series[i], f.Departs && i > 0); err != nil {
			return err
		}
	}
	c.buf[0] = append(c.buf[0][:0], c.last...)
	c.last = c.buf[0]
	return nil
}

// sendEncoded takes a series of a frame; departs says that From of it is set.
func (c *collector) sendEncoded(s *encoded.Series, departs bool) error {
	order := 1
	switch {
	case len(c.parts) == 0:
	case departs:
		if s.From.Code == encoded.Equal {
			order = 0
		}
	default:
		order = encoded.CompareLabels(s.Labels, c.last)
	}
	if order != 0 {
		if err := c.begin(order, s.Labels, labels.EmptyLabels(), !c.req.SkipChunks); err != nil {
			return err
		}
	}
	c.last = s.Labels
	if c.req.SkipChunks {
		return nil
	}
	for i := range s.Chunks {
		if err := c.add(&s.Chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

// begin begins a part, which the store sent in the given order after the last
// one. lset is its label set in canonical form, plain the same if it is known;
// keeps says that the memory of lset is kept.
func (c *collector) begin(order int, lset []byte, plain labels.Labels, keeps bool) error {
	if order < 0 {
		return fmt.Errorf("series %s after %s: %w", encoded.Labels(lset, &c.scratch), encoded.Labels(c.last, &c.scratch), store.ErrUnsorted)
	}
	p := part{key: lset, lset: plain}
	has := false
	if len(c.replicas.names) > 0 {
		p.replica, has = c.replicas.of(lset)
	}
	switch {
	case has:
		p.key, p.lset = c.keep(lset, &c.rewrite), labels.EmptyLabels()
	case !keeps:
		p.key = c.keep(lset, &encoded.Rewrite{})
	}
	if n := len(c.parts); n > 0 && c.sorted {
		c.sorted = encoded.CompareLabels(c.parts[n-1].key, p.key) <= 0
	}
	c.parts = append(c.parts, p)
	c.chunks.start()
	return nil
}

// keyPage is how many bytes of keys are allocated at once.
const keyPage = 16 << 10

// keep returns a label set, rewritten, in memory of the collector.
func (c *collector) keep(lset []byte, by *encoded.Rewrite) []byte {
	if cap(c.keys)-len(c.keys) < len(lset) {
		c.keys = make([]byte, 0, max(keyPage, len(lset)))
	}
	from := len(c.keys)
	c.keys = by.Append(c.keys, lset)
	return c.keys[from:len(c.keys):len(c.keys)]
}

// add adds a chunk to the part that was begun last.
func (c *collector) add(e *encoded.Chunk) error {
	ch, ok, err := pick(e, c.sel.aggregates)
	p := &c.parts[len(c.parts)-1]
	if err != nil {
		lset := encoded.Labels(p.key, &c.scratch)
		if ee, ok := errors.AsType[*store.EncodingError](err); ok {
			ee.Series = lset
			return ee
		}
		return fmt.Errorf("series %s: %w", lset, err)
	}
	if ok {
		c.chunks.add(ch)
		p.chunks = c.chunks.chunks()
	}
	return nil
}

// finish returns the series, sorted, each once. keep, if not nil, says which.
func (c *collector) finish(keep func(labels.Labels) bool, limit int) answer {
	if !c.sorted {
		order(c.parts)
	}
	n := 0
	for rest := c.parts; len(rest) > 0; rest = rest[sameKey(rest):] {
		n++
	}
	if limit > 0 {
		n = min(n, limit)
	}
	b := builder{sel: c.sel, ranks: c.replicas.ranks(c.sel.prefer)}
	b.replicas, b.in = c.replicas.sets, make([]int64, len(c.replicas.sets))
	b.series = make([]series, 0, n)
	for rest := c.parts; len(rest) > 0 && len(b.series) < n; {
		parts := rest[:sameKey(rest)]
		rest = rest[len(parts):]
		lset := parts[0].lset
		if lset.IsEmpty() {
			lset = encoded.Labels(parts[0].key, &c.scratch)
		}
		if keep == nil || keep(lset) {
			b.add(lset, parts)
		}
	}
	return b.answer
}

// sameKey returns how many parts, of at least one, have the key of the first.
func sameKey(parts []part) int {
	n := 1
	for n < len(parts) && bytes.Equal(parts[n].key, parts[0].key) {
		n++
	}
	return n
}

// release lets go of the frames.
func (c *collector) release() { releaseFrames(c.frames); c.frames = nil }

func releaseFrames(fs []*encoded.Frame) {
	for _, f := range fs {
		f.Release()
	}
}
