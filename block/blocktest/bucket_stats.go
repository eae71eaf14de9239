package blocktest

import (
	"maps"

	"github.com/thanos-io/objstore"
)

// Stats is what was asked of a [Bucket] since it was made or [Bucket.Reset].
type Stats struct {
	// Requests counts all, those that failed among them; a page of a listing is one.
	Requests int
	// Trips is the length of the longest chain of requests of which each began after
	// the one before it had been answered: how often somebody waited at least.
	//
	// Requests that were made together but answered at once would seem to follow on each
	// other. So it says something only where requests take time: set a [Bucket.Delay],
	// best in a testing/synctest bubble. A request is answered when its body begins:
	// one that begins while the body of another is read is later than that one.
	Trips int
	// Concurrent is how many requests waited for their answers at the same time at
	// most.
	Concurrent int
	// Ops has the operations that were asked for, by the names that objstore has for
	// them.
	Ops map[string]OpStats
}

// OpStats is what was asked by one operation.
type OpStats struct {
	Requests int
	Errors   int   // Requests that were answered with an error.
	Entries  int   // Of listings: what they named.
	Wanted   int64 // Bytes in the bodies of answers, read or not; of a range, at most what there is.
	Read     int64 // Bytes that callers read out of bodies.
	Written  int64 // Bytes uploaded.
}

// Gets returns the sums over OpGet and OpGetRange: what was read of objects.
func (s Stats) Gets() OpStats {
	g, r := s.Ops[objstore.OpGet], s.Ops[objstore.OpGetRange]
	return OpStats{
		Requests: g.Requests + r.Requests,
		Errors:   g.Errors + r.Errors,
		Wanted:   g.Wanted + r.Wanted,
		Read:     g.Read + r.Read,
	}
}

// Stats returns what was asked so far.
func (b *Bucket) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.window.stats
	s.Ops = maps.Clone(s.Ops)
	return s
}

// Reset begins to count anew. A request that is under way goes on counting where
// it began.
func (b *Bucket) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.window = newWindow()
	b.log = nil
}

// window is what is counted between two resets. Its bucket's lock guards it.
type window struct {
	stats    Stats
	waiting  int
	answered int // The longest chain that ends in a request that was answered.
}

func newWindow() *window { return &window{stats: Stats{Ops: map[string]OpStats{}}} }

// begin returns how long the longest chain is that ends in r.
func (w *window) begin(r Request) int {
	if r.Op == OpStep {
		return 0
	}
	w.stats.Requests++
	w.add(r.Op, OpStats{Requests: 1})
	w.waiting++
	w.stats.Concurrent = max(w.stats.Concurrent, w.waiting)
	w.stats.Trips = max(w.stats.Trips, w.answered+1)
	return w.answered + 1
}

func (w *window) end(r Request, depth int, err error) {
	if r.Op == OpStep {
		return
	}
	w.waiting--
	w.answered = max(w.answered, depth)
	if err != nil {
		w.add(r.Op, OpStats{Errors: 1})
	}
}

func (w *window) add(op string, d OpStats) {
	s := w.stats.Ops[op]
	s.Requests += d.Requests
	s.Errors += d.Errors
	s.Entries += d.Entries
	s.Wanted += d.Wanted
	s.Read += d.Read
	s.Written += d.Written
	w.stats.Ops[op] = s
}

// count adds to what is counted for the call's operation.
func (c *call) count(d OpStats) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.w.add(c.Op, d)
}
