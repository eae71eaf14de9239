package bucketstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// call is one call of the Store.
type call struct {
	store *Store
	req   *store.SeriesRequest
	// ctx is that of the call, not of what it starts: it says whether the caller
	// has given up.
	ctx        context.Context
	mint, maxt int64 // as clamped by the options

	chosen []choice
	broken []error // of blocks that would have been chosen

	blockBytes int64 // what a block may take for each of four things
	batchBytes int   // of each block, at most
	stats      callStats
	limits     limiter
	refetches  atomic.Int64 // of chunks

	loads          sync.WaitGroup // of batches
	series, chunks int64          // sent
}

// choice is a block that is to be read, and the matchers that its series have to
// satisfy.
type choice struct {
	block    *loadedBlock
	matchers []*labels.Matcher
}

// Series sends the series of the blocks that hold the range, merged. Of each set
// of external labels these are the blocks of the coarsest resolution up to
// req.MaxResolution, and finer ones where they leave gaps. Raw blocks are read if
// req.Aggregates asks for none.
//
// Each series is sent once, its chunks ascend by time, and of equal chunks one is
// sent. Aggregates that a chunk does not have, as the minimum of a histogram, are
// left out, and so are chunks without any that is asked for.
//
// req.StoreHints may be Thanos' hintspb.SeriesRequestHints, which select blocks by
// external labels and __block_id. req.Hints and req.Tenant make no difference.
//
// A block that cannot be read, or of which a part cannot, is a *BlockError with
// its ULID and the cause: a warning under store.Warn, when what else it has is
// sent, and the error under store.Abort.
//
// Errors: store.ErrInvalidRequest for hints of another type; *store.LimitError;
// ErrClosed; those of w; the context's.
func (s *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	hints, err := wire.DecodeBlockHints(req.StoreHints, wire.SeriesRequestHintsType)
	if err != nil {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, span := s.tracer.Start(ctx, "bucketstore.Series")
	defer func() { endSpan(span, err) }()

	start := time.Now()
	c := s.newCall(ctx, req)
	c.choose(hints.Matchers)
	defer c.release()
	span.SetAttributes(attribute.Int("blocks", len(c.chosen)))
	defer func() { s.metrics.observe(c, time.Since(start)) }()
	if err := c.run(ctx, w); err != nil {
		return err
	}
	if s.opts.SeriesHints {
		c.respond(req.Outcome, wire.SeriesResponseHintsType, hints.QueryStats)
	}
	return nil
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

func (s *Store) newCall(ctx context.Context, req *store.SeriesRequest) *call {
	c := &call{store: s, req: req, ctx: ctx}
	c.mint, c.maxt = s.opts.clamp(req.MinTime, req.MaxTime, time.Now())
	c.limits.max, c.limits.stats, c.limits.dropped = s.opts.Limits, &c.stats, s.metrics.dropped
	return c
}

// choose chooses the blocks that answer the call, of those that the matchers of
// hints select, and keeps them alive until release.
func (c *call) choose(hints []*labels.Matcher) {
	most := block.Resolution(max(c.req.MaxResolution.Milliseconds(), 0))
	if c.req.Aggregates == 0 && !c.req.SkipChunks {
		most = block.Raw
	}
	c.pick(hints, func(dst []*loadedBlock, set *blockSet) []*loadedBlock {
		all := set.choose(dst, c.mint, c.maxt, most, nil)
		if !slices.ContainsFunc(all[len(dst):], isBroken) {
			return all
		}
		// Without those, others may have the data, at a finer resolution.
		for _, b := range all[len(dst):] {
			if b.broken != nil && b.matches(hints) {
				c.broken = append(c.broken, b.broken)
			}
		}
		return set.choose(dst, c.mint, c.maxt, most, func(b *loadedBlock) bool { return b.broken == nil })
	})
}

func isBroken(b *loadedBlock) bool { return b.broken != nil }

// pick collects the blocks that choose appends for each set of external labels
// that matches, and keeps them alive until release.
func (c *call) pick(hints []*labels.Matcher, choose func(dst []*loadedBlock, set *blockSet) []*loadedBlock) {
	if c.mint > c.maxt {
		return
	}
	c.store.mu.RLock()
	defer c.store.mu.RUnlock()
	var found []*loadedBlock
	for _, set := range c.store.sets {
		rest, ok := set.matchers(c.req.Matchers)
		if !ok {
			continue
		}
		found = choose(found[:0], set)
		for _, b := range found {
			if b.matches(hints) {
				b.retain()
				c.chosen = append(c.chosen, choice{b, rest})
			}
		}
	}
	// The order decides nothing, but is the same each time.
	slices.SortFunc(c.chosen, func(a, b choice) int {
		return cmp.Or(compareTimes(a.block, b.block))
	})
}

func (c *call) release() {
	for _, x := range c.chosen {
		x.block.release()
	}
}

// run reads the blocks that were chosen and sends what they have, merged.
func (c *call) run(ctx context.Context, w store.SeriesWriter) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := c.incomplete(w); err != nil {
		return err
	}
	if len(c.chosen) == 0 {
		return nil
	}
	c.share()
	ctx, cancel := context.WithCancel(ctx)
	streams := make([]*stream, len(c.chosen))
	var readers sync.WaitGroup
	for i, x := range c.chosen {
		s := &stream{call: c, block: x.block, matchers: x.matchers, batches: make(chan *batch, 1)}
		var own context.Context
		own, s.cancel = context.WithCancel(ctx)
		streams[i] = s
		readers.Go(func() { s.run(own) })
	}
	m := merge{call: c, w: w, limit: max(c.req.Limit, 0)}
	err := m.run(ctx, streams)
	cancel()
	for _, s := range streams {
		s.stop()
	}
	readers.Wait()
	c.loads.Wait()
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// share divides the memory of the call among its blocks.
func (c *call) share() {
	c.blockBytes = c.store.opts.CallBytes / int64(len(c.chosen)) / 4 // three batches, and entries that wait for theirs
	c.batchBytes = int(min(max(c.blockBytes, minBatchBytes), maxBatchBytes))
}

// incomplete says what the answer is known to lack.
func (c *call) incomplete(w store.SeriesWriter) error {
	c.store.mu.RLock()
	view := c.store.view
	c.store.mu.RUnlock()
	if view != nil {
		if err := c.failed(w, view); err != nil {
			return err
		}
	}
	for _, err := range c.broken {
		if err := c.failed(w, err); err != nil {
			return err
		}
	}
	return nil
}

// failed makes a loss a warning or the error of the call. What is no loss is the
// error of the call.
func (c *call) failed(w store.SeriesWriter, err error) error {
	_, blk := errors.AsType[*BlockError](err)
	_, view := errors.AsType[*ViewError](err)
	if !blk && !view {
		return err
	}
	c.store.metrics.blockFailures.Inc()
	if c.req.Strategy == store.Abort {
		return err
	}
	return w.Warn(err)
}

// count counts what is sent.
func (c *call) count(f *encoded.Frame) {
	c.series += int64(len(f.Series))
	for i := range f.Series {
		c.chunks += int64(len(f.Series[i].Chunks))
	}
}

// respond adds the blocks that were read to the outcome, as hints.
func (c *call) respond(out *store.Outcome, typeURL string, withStats bool) {
	if out == nil {
		return
	}
	ids := make([]string, len(c.chosen))
	for i, x := range c.chosen {
		ids[i] = x.block.meta.ULID.String()
	}
	slices.Sort(ids)
	var stats *wire.QueryStats
	if withStats {
		stats = &wire.QueryStats{
			Blocks: int64(len(ids)), Series: c.series, Chunks: c.chunks,
			Postings: c.stats.data(kindPostings), SeriesEntries: c.stats.data(kindSeries), ChunkRanges: c.stats.data(kindChunks),
		}
	}
	out.AddHints(store.Any{TypeURL: typeURL, Value: wire.AppendQueriedBlocks(nil, ids, stats)})
}

// data returns what was read of a kind of data.
func (st *callStats) data(k dataKind) wire.DataStats {
	s := &st.kinds[k]
	return wire.DataStats{
		Touched: s.touched.Load(), TouchedBytes: s.touchedBytes.Load(),
		Fetched: s.fetched.Load(), FetchedBytes: s.fetchedBytes.Load(), Requests: s.requests.Load(),
	}
}
