package block

import (
	"errors"
	"fmt"
)

// run looks at all series, then at the postings.
func (v *verifier) run() error {
	v.sums = map[uint32]postingSum{}
	it := &SeriesIter{x: v.index, next: v.index.toc.Series}
	for i := 0; ; i++ {
		if i%64 == 0 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		if it.Next() {
			if err := v.series(it); err != nil {
				return err
			}
			continue
		}
		err := it.Err()
		if err == nil {
			break
		}
		v.add(CorruptIndex, err)
		if !it.resume() {
			break
		}
	}
	v.report.IndexStats = v.gatherer.stats
	return v.postings()
}

// series looks at one series.
func (v *verifier) series(it *SeriesIter) error {
	lset, chunks := it.LabelRefs(), it.Chunks()
	v.report.Stats.NumSeries++
	v.gatherer.add(it.Offset(), chunks)
	v.sum(it.Offset(), lset)
	problem := func(kind ProblemKind, detail string) {
		v.add(kind, &SeriesError{Labels: refLabels(v.index.symbols, lset), Kind: kind, Detail: detail})
	}
	if kind, ok := labelOrder(v.index.symbols, lset); !ok {
		problem(kind, "")
	}
	if v.report.Stats.NumSeries > 1 {
		switch c := compareRefs(v.lset, lset); {
		case c == 0:
			problem(DuplicateSeries, "")
		case c > 0:
			problem(UnsortedSeries, fmt.Sprintf("it follows %s", refLabels(v.index.symbols, v.lset)))
		}
	}
	v.lset = append(v.lset[:0], lset...)
	if len(chunks) == 0 {
		problem(NoChunks, "")
	}
	var prev *ChunkMeta
	for i := range chunks {
		if i%1024 == 1023 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		c := chunks[i]
		v.times(c)
		if kind, ok := chunkOrder(prev, c); !ok {
			problem(kind, describeChunk(prev, c))
		}
		if kind, ok := chunkRange(c, v.meta.MinTime, v.meta.MaxTime); !ok {
			problem(kind, fmt.Sprintf("[%d, %d] in a block of [%d, %d)", c.MinTime, c.MaxTime, v.meta.MinTime, v.meta.MaxTime))
		}
		v.chunk(c, problem)
		prev = &chunks[i]
	}
	return nil
}

// times widens the range of the report.
func (v *verifier) times(c ChunkMeta) {
	r := &v.report
	if r.Stats.NumChunks == 0 {
		r.MinTime, r.MaxTime = c.MinTime, c.MaxTime
	}
	r.MinTime, r.MaxTime = min(r.MinTime, c.MinTime), max(r.MaxTime, c.MaxTime)
	r.Stats.NumChunks++
}

// chunk looks at one chunk, as deep as it was asked to.
func (v *verifier) chunk(m ChunkMeta, problem func(ProblemKind, string)) {
	if v.opts.Depth == VerifyIndex {
		return
	}
	c, err := v.segments.chunk(m)
	if err == nil {
		err = v.samples(&c, problem)
	}
	switch n := m.Ref.Segment(); {
	case err == nil:
	case n >= len(v.segments.all):
		v.add(MissingFile, err)
	case v.segments.all[n].err != nil: // which was reported when it was opened
	default:
		v.add(kindOf(err, CorruptChunk), err)
	}
}

// samples counts the samples of a chunk, and decodes them.
func (v *verifier) samples(c *Chunk, problem func(ProblemKind, string)) error {
	n, err := c.NumSamples()
	if err != nil {
		return v.chunkError(c, err)
	}
	s := &v.report.Stats
	s.addChunk(c.Encoding, n)
	s.NumChunks-- // it was counted as one of the index
	if n == 0 {
		problem(EmptyChunk, fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime))
		return nil
	}
	if v.opts.Depth == VerifyChecksums {
		return nil
	}
	detail, err := v.decoding.check(c)
	if err != nil {
		return v.chunkError(c, err)
	}
	if detail != "" {
		problem(ChunkTimes, detail)
	}
	return nil
}

// chunkError says that a chunk with a good checksum is none all the same.
func (v *verifier) chunkError(c *Chunk, err error) error {
	what := fmt.Errorf("%s chunk of [%d, %d]: %w", encodingName(c.Encoding), c.MinTime, c.MaxTime, err)
	if errors.Is(err, ErrUnsupported) {
		return what
	}
	return &CorruptError{Block: v.meta.ULID, File: ChunksDir, Err: what}
}
