package store

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// framePool recycles what sortingWriters hold back in, and the frames that they
// send, with their memory. It is safe for concurrent use.
type framePool struct {
	pool sync.Pool // of *outFrame
	held sync.Pool // of *heldBack
}

func newFramePool() *framePool {
	p := &framePool{}
	p.pool.New = func() any {
		o := &outFrame{}
		o.Frame = encoded.NewFrame(func(*encoded.Frame) {
			for i, f := range o.inputs {
				f.Release()
				o.inputs[i] = nil
			}
			o.inputs = o.inputs[:0]
			clear(o.Series)
			p.pool.Put(o)
		})
		return o
	}
	return p
}

// outFrame is a frame whose chunks are views of other frames, on which it holds
// references, and whose labels are its own.
type outFrame struct {
	*encoded.Frame
	inputs []*encoded.Frame
	arena  []byte
}

func (p *framePool) get() *outFrame {
	o := p.pool.Get().(*outFrame)
	o.Reset()
	o.arena = o.arena[:0]
	return o
}

// Bounds of the frames that a sortingWriter sends.
const (
	maxFrameSeries = 256
	maxFrameBytes  = 256 << 10
)

// sortingWriter rewrites the labels of a sorted stream and sorts it again. It
// holds back one group of series at a time; see groups.
type sortingWriter struct {
	next    SeriesWriter
	frames  encoded.Writer // nil if next takes no frames
	pool    *framePool
	rewrite encoded.Rewrite
	shard   *shardHasher // nil if not sharded
	limit   int          // of series sent; 0 is unlimited
	strict  bool         // nothing may be left out
	group   groups

	// nil once the call has ended, for Stores that go on after that.
	*heldBack

	sent   int
	warned bool // of a series that was left out
	done   bool // the limit is reached
}

// heldBack is the memory of a sortingWriter, which the next one uses again.
type heldBack struct {
	pending []pendingSeries
	arena   []byte // rewritten labels of pending
	scratch []byte
	last    []byte // labels of the last series sent
	current []byte // for groups
	sb      labels.ScratchBuilder
}

// More than this is not kept for the next call.
const (
	maxKeptSeries = 16 << 10
	maxKeptLabels = 4 << 20
)

// pendingSeries is a series held back: plain, or a view of a frame that is
// retained for it.
type pendingSeries struct {
	labels []byte
	plain  *Series
	view   encoded.Series
	frame  *encoded.Frame
}

func newSortingWriter(w SeriesWriter, p *framePool, rw encoded.Rewrite, req *SeriesRequest) *sortingWriter {
	held, ok := p.held.Get().(*heldBack)
	if !ok {
		held = &heldBack{sb: labels.NewScratchBuilder(0)}
	}
	frames, _ := w.(encoded.Writer)
	return &sortingWriter{
		next: w, frames: frames, pool: p, rewrite: rw, limit: req.Limit, strict: req.Strategy == Abort, heldBack: held,
		group: groups{firstName: []byte(rw.FirstName()), current: held.current[:0]},
	}
}

// end lets go of everything that is held back, and of the memory.
func (w *sortingWriter) end() {
	w.drop()
	held := w.heldBack
	w.heldBack = nil
	held.last, held.current = held.last[:0], w.group.current[:0]
	if cap(held.pending) <= maxKeptSeries && cap(held.arena) <= maxKeptLabels {
		w.pool.held.Put(held)
	}
}

// errEnded is returned to a Store that goes on writing after its call.
var errEnded = errors.New("series sent after the call has ended")

// run lets series write to w, sends what is left of it, and ends the writer.
func (w *sortingWriter) run(series func(SeriesWriter) error) error {
	defer w.end()
	err := series(asWriter(w, w.frames))
	switch {
	case w.done && (err == nil || stopped(err)):
		return nil
	case err != nil:
		return err
	}
	if err := w.flush(); err != nil && !(w.done && stopped(err)) {
		return err
	}
	return nil
}

// Warn does not wait for the series that are held back.
func (w *sortingWriter) Warn(err error) error { return w.next.Warn(err) }

func (w *sortingWriter) Send(s *Series) error {
	if w.heldBack == nil {
		return errEnded
	}
	w.scratch = encoded.AppendLabels(w.scratch[:0], s.Labels)
	if err := w.admit(w.scratch); err != nil {
		return err
	}
	from := len(w.arena)
	w.arena = w.rewrite.Append(w.arena, w.scratch)
	return w.add(pendingSeries{labels: w.arena[from:len(w.arena):len(w.arena)], plain: s}, len(w.scratch))
}

func (w *sortingWriter) SendFrame(f *encoded.Frame) error {
	if w.heldBack == nil {
		return errEnded
	}
	for i := range f.Series {
		s := &f.Series[i]
		if err := w.admit(s.Labels); err != nil {
			return err
		}
		from := len(w.arena)
		w.arena = w.rewrite.Append(w.arena, s.Labels)
		if err := w.add(pendingSeries{labels: w.arena[from:len(w.arena):len(w.arena)], view: *s, frame: f}, len(s.Labels)); err != nil {
			return err
		}
	}
	return nil
}

// admit sends what is held back if the series with the original labels comes
// after all of it.
func (w *sortingWriter) admit(original []byte) error {
	if w.group.next(original) {
		return w.flush()
	}
	return nil
}

// errNoLabels is the warning for series that cannot be told from others, once
// for a call, and the error if nothing may be left out.
var errNoLabels = errors.New("series left out: it has no labels but replica labels")

// add holds a series back. originally is the length of its labels before they
// were rewritten.
func (w *sortingWriter) add(p pendingSeries, originally int) error {
	if len(p.labels) == 0 && originally > 0 { // it would sort before what is sent already
		if w.strict {
			return errNoLabels
		}
		if w.warned {
			return nil
		}
		w.warned = true
		return w.next.Warn(errNoLabels)
	}
	if w.shard != nil {
		encoded.Each(p.labels, func(n, v []byte) bool { w.shard.addBytes(n, v); return true })
		if !w.shard.matches() {
			return nil
		}
	}
	if p.frame != nil {
		p.frame.Retain()
	}
	w.pending = append(w.pending, p)
	return nil
}

// flush sorts and sends what is held back.
func (w *sortingWriter) flush() error {
	byLabels := func(a, b pendingSeries) int { return encoded.CompareLabels(a.labels, b.labels) }
	if !slices.IsSortedFunc(w.pending, byLabels) {
		slices.SortStableFunc(w.pending, byLabels)
	}
	for i := 0; i < len(w.pending) && !w.done; {
		n, err := w.sendSome(w.pending[i:])
		if err != nil {
			return err
		}
		i += n
	}
	w.drop()
	if w.done {
		return errStopped
	}
	return nil
}

// sendSome sends one plain series or one frame of views, and returns how many
// of the series that were.
func (w *sortingWriter) sendSome(ps []pendingSeries) (int, error) {
	if p := &ps[0]; p.plain != nil {
		if !w.withinLimit(p.labels) {
			return 0, nil
		}
		p.plain.Labels = encoded.Labels(p.labels, &w.sb)
		return 1, w.next.Send(p.plain)
	}
	out := w.pool.get()
	defer out.Release()
	n, payload := 0, 0
	for n < len(ps) && n < maxFrameSeries && payload < maxFrameBytes && ps[n].plain == nil && w.withinLimit(ps[n].labels) {
		p := &ps[n]
		if len(out.inputs) == 0 || out.inputs[len(out.inputs)-1] != p.frame {
			p.frame.Retain()
			out.inputs = append(out.inputs, p.frame)
			out.Size += p.frame.Size // all of it is kept alive
		}
		from := len(out.arena)
		out.arena = append(out.arena, p.labels...)
		s := encoded.Series{Labels: out.arena[from:len(out.arena):len(out.arena)], Chunks: p.view.Chunks}
		out.Series = append(out.Series, s)
		out.Size += len(s.Labels)
		payload += s.Size()
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, w.frames.SendFrame(out.Frame)
}

// withinLimit counts a series and reports whether it may be sent. A further part
// of the last series always may.
func (w *sortingWriter) withinLimit(lset []byte) bool {
	if w.limit <= 0 || (w.sent > 0 && bytes.Equal(w.last, lset)) {
		return true
	}
	if w.sent == w.limit {
		w.done = true
		return false
	}
	w.sent++
	w.last = append(w.last[:0], lset...)
	return true
}

// drop lets go of what is held back.
func (w *sortingWriter) drop() {
	for i := range w.pending {
		if f := w.pending[i].frame; f != nil {
			f.Release()
		}
	}
	clear(w.pending)
	w.pending, w.arena = w.pending[:0], w.arena[:0]
}

// groups cuts a sorted stream of label sets into groups that stay in order
// among each other when labels are rewritten.
//
// Two label sets that differ in the value of their first label keep their order
// if no label up to that name is rewritten: both still start with it. So series
// that start with the same label are a group. Those that start with a name that
// may be rewritten come after all others before and after, and are one group.
// So is everything once there is a series without labels, which may get some.
type groups struct {
	firstName []byte // the smallest name that is rewritten; empty if none
	all       bool   // everything is one group

	current []byte // the first label of the current group
	started bool
}

// next reports whether the label set starts a group.
func (g *groups) next(lset []byte) bool {
	if g.all {
		return false
	}
	entry, name := encoded.First(lset)
	if len(g.firstName) > 0 && (len(entry) == 0 || bytes.Compare(name, g.firstName) >= 0) {
		entry, g.all = nil, true
	}
	if g.started && bytes.Equal(g.current, entry) && !g.all {
		return false
	}
	starts := g.started
	g.started, g.current = true, append(g.current[:0], entry...)
	return starts
}
