package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sort"
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
	// requestCost is how many bytes cost as much as one more request beside others
	// that run. Two ranges are joined if no more lie between them. 0 is 4 KiB.
	requestCost int64
	// waitCost is how many bytes cost as much as one more request that has to wait
	// for others to end. Where there are more ranges than perCall, those are joined
	// that lie nearest to each other, as long as no more lie between them. 0 is
	// 64 KiB: what 6 Gbit/s bring in the share of 20 ms for which each of perCall
	// requests makes the others wait.
	waitCost int64
	// maxRange is the size in bytes above which a range is read by several
	// requests. 0 is 8 MiB.
	maxRange int64
	// concurrency is how many requests run at a time: of all calls, and of one
	// fetch. 0 is 256 each.
	concurrency, perCall int
	// window is how many bytes of one fetch are on their way, or wait to be used,
	// unless it is one range. 0 is 32 MiB.
	window int64
	// hedge is when a second request is sent beside a slow one.
	hedge hedgeOptions
}

func (o rangeOptions) withDefaults() rangeOptions {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.requestCost, 4<<10)
	def(&o.waitCost, 64<<10)
	def(&o.maxRange, 8<<20)
	def(&o.window, 32<<20)
	if o.concurrency == 0 {
		o.concurrency = 256
	}
	if o.perCall == 0 {
		o.perCall = 256
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
	j := joiner{always: r.opts.requestCost, maxRange: r.opts.maxRange}
	out := j.join(nil, parts)
	tooMany := len(out) - r.opts.perCall
	if tooMany <= 0 {
		return out
	}
	gaps := make([]int64, len(out)-1)
	for i := range gaps {
		gaps[i] = out[i+1].off - out[i].end()
	}
	slices.Sort(gaps)
	j.below = gaps[tooMany-1]
	j.equal = tooMany - sort.Search(len(gaps), func(i int) bool { return gaps[i] >= j.below })
	if j.below > r.opts.waitCost {
		j.below, j.equal = r.opts.waitCost, 0
	}
	return j.join(out[:0], parts)
}

// joiner joins parts that have no more than always bytes between them, or less
// than below; of those that have exactly so many, the first ones.
type joiner struct {
	always, below int64
	equal         int
	maxRange      int64
}

// join appends parts to out.
func (j *joiner) join(out []joined, parts []part) []joined {
	for i, p := range parts {
		if n := len(out) - 1; n >= 0 {
			last := &out[n]
			end := max(last.end(), p.end())
			if end-last.off <= j.maxRange && j.near(p.off-last.end()) {
				last.size, last.last = end-last.off, i+1
				continue
			}
		}
		out = append(out, joined{part: p, first: i, last: i + 1})
	}
	return out
}

func (j *joiner) near(gap int64) bool {
	if gap <= j.always || gap < j.below {
		return true
	}
	if gap > j.below || j.equal == 0 {
		return false
	}
	j.equal--
	return true
}

// fetch reads parts of an object, which ascend by offset and may overlap. It
// calls use once for each, in order, on the caller's goroutine. What it is called
// with is valid until it returns; it is shorter than wanted only at the end of an
// object whose size is not known. Up to its capacity is what follows in the
// object, as far as that was read along.
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
		b = slices.Clip(b) // What was in the buffer before is not of the object.
		for i := j.first; i < j.last; i++ {
			at, end := parts[i].off-j.off, parts[i].end()-j.off
			at, end = min(at, int64(len(b))), min(end, int64(len(b)))
			if err := use(i, b[at:end]); err != nil {
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
// only when fewer than perCall, of no more than window bytes together, are on
// their way or wait to be delivered.
func (t *trip) readAll(ctx context.Context, cancel func(), ranges []joined, deliver func(joined, []byte) error) error {
	arrivals := make([]chan arrival, min(len(ranges), t.opts.perCall)) // A ring.
	for i := range arrivals {
		arrivals[i] = make(chan arrival, 1)
	}
	var wg sync.WaitGroup
	next, bytes := 0, int64(0) // The range to be begun, and what is on its way.
	begin := func(done int) {
		for ; next < len(ranges) && next < done+len(arrivals); next++ {
			p := ranges[next].part
			if next > done && bytes+p.size > t.opts.window {
				return
			}
			bytes += p.size
			to := arrivals[next%len(arrivals)]
			wg.Go(func() {
				b, err := t.read(ctx, p)
				to <- arrival{b, err}
			})
		}
	}
	defer wg.Wait()
	defer cancel()
	for i, j := range ranges {
		begin(i)
		a := <-arrivals[i%len(arrivals)]
		if a.err != nil {
			return a.err
		}
		err := deliver(j, *a.buf)
		t.bufs.put(a.buf)
		if err != nil {
			return err
		}
		bytes -= j.size
	}
	return nil
}

// read reads a range into a buffer of the pool, a large one by several requests.
// The buffer is taken only when the first of them may be sent, so that memory is
// in use for requests that run, and not for those that wait.
func (t *trip) read(ctx context.Context, p part) (*[]byte, error) {
	if p.size == 0 { // There is no such range in HTTP.
		return t.bufs.get(0), nil
	}
	if err := t.slot(ctx); err != nil {
		return nil, err
	}
	buf := t.bufs.get(p.size)
	n := p.size
	var err error
	if p.size <= t.opts.maxRange || t.object.short {
		n, err = t.get(ctx, p.off, *buf)
	} else {
		err = t.getAll(ctx, p.off, *buf)
	}
	if err != nil {
		t.bufs.put(buf)
		return nil, err
	}
	*buf = (*buf)[:n]
	return buf, nil
}

// getAll reads a range by several requests. It begins with a slot, that of the
// first of them.
func (t *trip) getAll(ctx context.Context, off int64, buf []byte) error {
	g, ctx := errgroup.WithContext(ctx)
	for at := int64(0); at < int64(len(buf)); at += t.opts.maxRange {
		piece := buf[at:min(at+t.opts.maxRange, int64(len(buf)))]
		g.Go(func() error {
			if at > 0 {
				if err := t.slot(ctx); err != nil {
					return err
				}
			}
			_, err := t.get(ctx, off+at, piece)
			return err
		})
	}
	return g.Wait()
}

// get reads a range once more if the first request fails as one does that another
// one may not: when a connection breaks or times out, or a body ends too early.
// There is nothing to wait for before the second: it takes another connection.
// Anything else is what a bucket's own client has retried already. It begins with
// a slot and ends without one.
func (t *trip) get(ctx context.Context, off int64, buf []byte) (int64, error) {
	n, err := t.hedged(ctx, off, buf)
	if err != nil && ctx.Err() == nil && transient(err) {
		if err := t.slot(ctx); err != nil {
			return 0, err
		}
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

// slot waits until fewer requests run than may.
func (t *trip) slot(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// once sends one request, in a slot that it gives up.
func (t *trip) once(ctx context.Context, off int64, buf []byte) (n int64, err error) {
	defer func() { <-t.slots }()
	start := time.Now()
	defer func() { t.st.request(t.object.kind, n, time.Since(start)) }()
	body, err := t.bkt.GetRange(ctx, t.object.name, off, int64(len(buf)))
	if err != nil {
		return 0, err
	}
	for n < int64(len(buf)) && err == nil {
		var got int
		got, err = body.Read(buf[n:])
		n += int64(got)
	}
	_ = body.Close() // All that was wanted is here, or err says why not.
	switch {
	case n == int64(len(buf)), errors.Is(err, io.EOF) && t.object.short:
		return n, nil
	case errors.Is(err, io.EOF): // Not a broken connection, which is another error.
		return n, errShortBody
	}
	return n, err
}
