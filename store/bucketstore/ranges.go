package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
)

// part is a wanted range of an object in bytes.
type part struct{ off, size int64 }

func (p part) end() int64 { return p.off + p.size }

// object is a file of a block in the bucket.
type object struct {
	block ulid.ULID
	file  string // Relative to the block.
	name  string // In the bucket.
	kind  dataKind
	// short says that the object's size is not known, so that wanted ranges may end
	// after it. What is there of them is then used.
	short bool
}

// indexObject returns the index of a block, of which some kind of data is read.
func indexObject(id ulid.ULID, kind dataKind) object {
	return object{block: id, file: block.IndexFile, name: block.ObjectName(id, block.IndexFile), kind: kind}
}

// corrupt returns the error of a file that does not hold what it must.
func (o *object) corrupt(err error) error {
	return &block.CorruptError{Block: o.block, File: o.file, Err: err}
}

// rangeOptions say how ranges are read.
type rangeOptions struct {
	// requestCost is how many bytes cost as much as one more request. Two ranges
	// are joined if fewer lie between them. 0 is 32 KiB.
	requestCost int64
	// maxRange is the size in bytes above which a range is read by several
	// requests. 0 is 8 MiB.
	maxRange int64
	// concurrency is how many requests run at a time: of all calls, and of one
	// range list. 0 is 256 and 32.
	concurrency, perCall int
	// hedge is when a second request is sent beside a slow one.
	hedge hedgeOptions
}

func (o rangeOptions) withDefaults() rangeOptions {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.requestCost, 32<<10)
	def(&o.maxRange, 8<<20)
	if o.concurrency == 0 {
		o.concurrency = 256
	}
	if o.perCall == 0 {
		o.perCall = 32
	}
	return o
}

// ranger reads ranges of objects: near ones together, all concurrently.
//
// Concurrency: safe.
type ranger struct {
	bkt    objstore.BucketReader
	opts   rangeOptions
	slots  chan struct{} // One for each request that runs.
	hedges *hedger
	bufs   bufferPool
}

func newRanger(bkt objstore.BucketReader, opts rangeOptions) *ranger {
	opts = opts.withDefaults()
	return &ranger{bkt: bkt, opts: opts, slots: make(chan struct{}, opts.concurrency), hedges: newHedger(opts.hedge)}
}

// joined is wanted parts that are read together: those from first to before
// last.
type joined struct {
	part
	first, last int
}

// join joins parts, which ascend by offset and may overlap. What is joined is not
// larger than maxRange, unless one part alone is.
func (r *ranger) join(parts []part) []joined {
	var out []joined
	for i, p := range parts {
		if n := len(out) - 1; n >= 0 {
			last := &out[n]
			end := max(last.end(), p.end())
			if p.off-last.end() <= r.opts.requestCost && end-last.off <= r.opts.maxRange {
				last.size, last.last = end-last.off, i+1
				continue
			}
		}
		out = append(out, joined{part: p, first: i, last: i + 1})
	}
	return out
}

// fetch reads parts of an object, which ascend by offset and may overlap. It
// calls use once for each, in order, on the caller's goroutine. What it is called
// with is valid until it returns; it is shorter than wanted only at the
// end of an object whose size is not known.
//
// Errors: that of use; *block.CorruptError if the object ends too early;
// block.ErrNotFound, ErrAccessDenied; the bucket's. They name block and file.
// Concurrency: no goroutine of it is left when it returns.
func (r *ranger) fetch(ctx context.Context, o object, parts []part, st *callStats, use func(i int, b []byte) error) error {
	ranges := r.join(parts)
	if len(ranges) == 0 {
		return nil
	}
	st.fetch(o.kind, len(parts))
	ctx, cancel := context.WithCancel(ctx)
	t := trip{ranger: r, object: o, st: st}
	defer t.losers.Wait()
	defer cancel()
	deliver := func(j joined, b []byte) error {
		for i := j.first; i < j.last; i++ {
			at, end := parts[i].off-j.off, parts[i].end()-j.off
			at, end = min(at, int64(len(b))), min(end, int64(len(b)))
			if err := use(i, b[at:end:end]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(ranges) == 1 {
		b, err := t.read(ctx, ranges[0].part)
		if err != nil {
			return err
		}
		defer r.bufs.put(b)
		return deliver(ranges[0], *b)
	}
	return t.readAll(ctx, cancel, ranges, deliver)
}

// trip is one call of fetch.
type trip struct {
	*ranger
	object object
	st     *callStats
	losers sync.WaitGroup // Of hedged requests.
}

// arrival is a range that was read.
type arrival struct {
	buf *[]byte
	err error
}

// readAll reads ranges concurrently, and delivers them in order. A range is begun
// only when fewer than perCall are on their way or wait to be delivered, which
// bounds memory.
func (t *trip) readAll(ctx context.Context, cancel func(), ranges []joined, deliver func(joined, []byte) error) error {
	arrivals := make([]chan arrival, min(len(ranges), t.opts.perCall)) // A ring.
	for i := range arrivals {
		arrivals[i] = make(chan arrival, 1)
	}
	var wg sync.WaitGroup
	begin := func(i int) {
		if i < len(ranges) {
			wg.Go(func() {
				b, err := t.read(ctx, ranges[i].part)
				arrivals[i%len(arrivals)] <- arrival{b, err}
			})
		}
	}
	for i := range arrivals {
		begin(i)
	}
	defer wg.Wait()
	defer cancel()
	for i, j := range ranges {
		a := <-arrivals[i%len(arrivals)]
		if a.err != nil {
			return a.err
		}
		err := deliver(j, *a.buf)
		t.bufs.put(a.buf)
		if err != nil {
			return err
		}
		begin(i + len(arrivals))
	}
	return nil
}

// read reads a range into a buffer of the pool, a large one by several requests.
func (t *trip) read(ctx context.Context, p part) (*[]byte, error) {
	buf := t.bufs.get(p.size)
	n := p.size
	var err error
	if p.size <= t.opts.maxRange || t.object.short {
		n, err = t.get(ctx, p.off, *buf)
	} else {
		g, gctx := errgroup.WithContext(ctx)
		for at := int64(0); at < p.size; at += t.opts.maxRange {
			piece := (*buf)[at:min(at+t.opts.maxRange, p.size)]
			g.Go(func() error {
				_, err := t.get(gctx, p.off+at, piece)
				return err
			})
		}
		err = g.Wait()
	}
	if err != nil {
		t.bufs.put(buf)
		return nil, err
	}
	*buf = (*buf)[:n]
	return buf, nil
}

// get reads a range once more if the first request fails as one does that another
// one may not: when a connection breaks or times out, or a body ends too early.
// There is nothing to wait for before the second: it takes another connection.
// Anything else is what a bucket's own client has retried already.
func (t *trip) get(ctx context.Context, off int64, buf []byte) (int64, error) {
	n, err := t.hedged(ctx, off, buf)
	if err != nil && ctx.Err() == nil && transient(err) {
		t.st.addRetry()
		n, err = t.hedged(ctx, off, buf)
	}
	if err == nil {
		return n, nil
	}
	o := &t.object
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case errors.Is(err, errShortBody):
		return 0, o.corrupt(fmt.Errorf("%d of %d bytes at %d: %w", n, len(buf), off, io.ErrUnexpectedEOF))
	}
	return 0, fmt.Errorf("read %s: %d bytes at %d: %w", o.name, len(buf), off, typed(t.bkt, err))
}

// errShortBody says that a body ended before the range did.
var errShortBody = errors.New("body ends too early")

// transient reports whether a request that failed so may succeed when it is sent
// again.
func transient(err error) bool {
	var timeout net.Error
	return errors.Is(err, errShortBody) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// once sends one request.
func (t *trip) once(ctx context.Context, off int64, buf []byte) (n int64, err error) {
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-t.slots }()
	start := time.Now()
	defer func() { t.st.request(t.object.kind, n, time.Since(start)) }()
	body, err := t.bkt.GetRange(ctx, t.object.name, off, int64(len(buf)))
	if err != nil {
		return 0, err
	}
	got, err := io.ReadFull(body, buf)
	_ = body.Close() // All that was wanted is here, or err says why not.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if t.object.short {
			return int64(got), nil
		}
		err = errShortBody
	}
	return int64(got), err
}
