package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// answer is what a Store sent for one request, put in order, so that a check is
// not disturbed by what is another's to find.
type answer struct {
	req *store.SeriesRequest
	// series ascend by labels, each once with all of its chunks.
	series []*series
	// sent are the series in the order in which they came.
	sent []*series
	// unsorted are label sets whose names did not ascend, as text.
	unsorted []string
	// concurrent says that Send was called while it was running.
	concurrent atomic.Bool
	warnings   []error
	outcome    *store.Outcome
}

// series is one series of an answer.
type series struct {
	labels labels.Labels
	chunks []store.Chunk

	decoded bool
	raw     []sample
	known   chunkCache
	// What is wrong with chunks, which have no part in the samples then.
	undecodable []string
	encodings   []string
	times       []string
}

// samples returns those of raw chunks, in the range that was asked for or not,
// ascending, equal ones once. Not safe for concurrent use before it has
// returned.
func (s *series) samples() []sample {
	if !s.decoded {
		s.decoded = true
		s.decode()
	}
	return s.raw
}

// find returns the series with these labels, or nil.
func (a *answer) find(lset labels.Labels) *series {
	i, ok := slices.BinarySearchFunc(a.series, lset, func(s *series, l labels.Labels) int { return labels.Compare(s.labels, l) })
	if !ok {
		return nil
	}
	return a.series[i]
}

// labelSets returns the label sets in order.
func (a *answer) labelSets() []labels.Labels {
	out := make([]labels.Labels, len(a.series))
	for i, s := range a.series {
		out[i] = s.labels
	}
	return out
}

// receiver is the reader of a call.
type receiver struct {
	max     int          // series; 0 is unlimited
	running atomic.Int32 // Sends

	mu     sync.Mutex
	bytes  int // of what came, about
	a      *answer
	byHash map[uint64][]*series
	// onSend, if not nil, is called with the number of Sends so far: by Sends at
	// the same time if the Store makes them.
	onSend func(n int) error
	sends  int
	// keep, if not nil, is called with what was sent, for the reader to keep.
	keep func(*store.Series)
	// known are samples of chunks that need not be decoded again; may be nil.
	known chunkCache
}

// What is sent beyond these ends the call. A store may go on for ever, with a
// single series too.
var (
	errTooMany  = errors.New("more series than Options.MaxSeries")
	errTooLarge = fmt.Errorf("more than %d MiB", maxAnswer>>20)
)

const (
	maxAnswer = 256 << 20 // bytes, of which samples take many times as much
	sendCost  = 256       // bytes of a Send, whatever is in it
)

// tooMuch reports whether a call was ended by us because of how much was sent.
func tooMuch(err error) bool { return errors.Is(err, errTooMany) || errors.Is(err, errTooLarge) }

// dataBytes is the size of chunks.
func dataBytes(chunks []store.Chunk) int {
	n := 0
	for _, c := range chunks {
		n += len(c.Raw.Bytes)
		if c.Aggregated != nil {
			for _, d := range aggregateData(c.Aggregated) {
				n += len(d.Bytes)
			}
		}
	}
	return n
}

func (r *receiver) Send(in *store.Series) error {
	defer r.running.Add(-1)
	if r.running.Add(1) > 1 {
		r.a.concurrent.Store(true)
	}
	n, err := r.receive(in)
	if err == nil && r.onSend != nil {
		err = r.onSend(n)
	}
	return err
}

// receive takes in what was sent, and returns the number of Sends so far.
func (r *receiver) receive(in *store.Series) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sends++
	if in == nil {
		return r.sends, errors.New("nil series was sent")
	}
	lset, ok := inOrder(in.Labels)
	if !ok {
		r.a.unsorted = append(r.a.unsorted, in.Labels.String())
	}
	if r.bytes += sendCost + dataBytes(in.Chunks); r.bytes > maxAnswer {
		return r.sends, errTooLarge
	}
	s := r.get(lset)
	s.chunks = append(s.chunks, copyChunks(in.Chunks)...)
	if n := len(r.a.sent); n == 0 || r.a.sent[n-1] != s {
		r.a.sent = append(r.a.sent, s)
	}
	if r.keep != nil {
		r.keep(in)
	}
	if r.max > 0 && len(r.a.series) > r.max {
		return r.sends, fmt.Errorf("%w: %d", errTooMany, r.max)
	}
	return r.sends, nil
}

func (r *receiver) Warn(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.warnings = append(r.a.warnings, err)
	return nil
}

// get returns the series with these labels, which is made if it is new.
func (r *receiver) get(lset labels.Labels) *series {
	h := lset.Hash()
	for _, s := range r.byHash[h] {
		if labels.Equal(s.labels, lset) {
			return s
		}
	}
	s := &series{labels: lset.Copy(), known: r.known}
	r.byHash[h] = append(r.byHash[h], s)
	r.a.series = append(r.a.series, s)
	return s
}

// inOrder returns the labels with names that ascend, and whether they did.
func inOrder(lset labels.Labels) (labels.Labels, bool) {
	ok, first, prev := true, true, ""
	lset.Range(func(l labels.Label) {
		ok = ok && (first || prev < l.Name)
		first, prev = false, l.Name
	})
	if ok {
		return lset, true
	}
	sb := labels.NewScratchBuilder(lset.Len())
	lset.Range(func(l labels.Label) { sb.Add(l.Name, l.Value) })
	sb.Sort()
	return sb.Labels(), false
}

// ask makes a call. What was sent before an error is in the answer.
func ask(ctx context.Context, s store.Store, req *store.SeriesRequest, r *receiver) (*answer, error) {
	a := &answer{req: req, outcome: new(store.Outcome)}
	call := *req
	call.Outcome = a.outcome
	r.a, r.byHash = a, map[uint64][]*series{}
	err := s.Series(ctx, &call, r)
	a.warnings = append(a.warnings, a.outcome.Warnings()...)
	slices.SortFunc(a.series, func(x, y *series) int { return labels.Compare(x.labels, y.labels) })
	return a, err
}

// decode fills in the samples, and what is wrong with the chunks.
func (s *series) decode() {
	for _, c := range s.chunks {
		if c.Aggregated != nil {
			continue
		}
		n := len(s.raw)
		var err error
		s.raw, err = s.known.decode(s.raw, c.Raw)
		switch {
		case errors.Is(err, store.ErrEncoding):
			s.encodings = append(s.encodings, fmt.Sprintf("chunk [%d, %d]: %v", c.MinTime, c.MaxTime, err))
		case err != nil:
			s.undecodable = append(s.undecodable, fmt.Sprintf("chunk [%d, %d]: %v", c.MinTime, c.MaxTime, err))
		}
		if err != nil {
			s.raw = s.raw[:n]
			continue
		}
		s.checkTimes(c, s.raw[n:])
	}
	slices.SortFunc(s.raw, compareSamples)
	s.raw = slices.CompactFunc(s.raw, equalSamples)
}

// chunkCache holds the samples of chunks by their encoding and bytes, since most
// answers have the same. It is safe for concurrent use as long as it is only
// read.
type chunkCache map[string][]sample

// decode appends the samples of a chunk to dst.
func (k chunkCache) decode(dst []sample, d store.ChunkData) ([]sample, error) {
	if samples, ok := k[cacheKey(d)]; ok {
		return append(dst, samples...), nil
	}
	n := len(dst)
	dst, err := decode(dst, d)
	if err == nil {
		err = checkAscending(dst[n:])
	}
	return dst, err
}

// fill adds the chunks of a series that can be decoded.
func (k chunkCache) fill(s *series) {
	for _, c := range s.chunks {
		if samples, err := k.decode(nil, c.Raw); err == nil {
			k[cacheKey(c.Raw)] = samples
		}
	}
}

func cacheKey(d store.ChunkData) string { return string(rune(d.Encoding)) + string(d.Bytes) }

func checkAscending(samples []sample) error {
	for i := 1; i < len(samples); i++ {
		if samples[i].t <= samples[i-1].t {
			return fmt.Errorf("the sample at %d follows that at %d", samples[i].t, samples[i-1].t)
		}
	}
	return nil
}

func (s *series) checkTimes(c store.Chunk, samples []sample) {
	if c.MinTime > c.MaxTime {
		s.times = append(s.times, fmt.Sprintf("chunk [%d, %d] ends before it begins", c.MinTime, c.MaxTime))
		return
	}
	for _, x := range samples {
		if x.t < c.MinTime || x.t > c.MaxTime {
			s.times = append(s.times, fmt.Sprintf("chunk [%d, %d] has a sample at %d", c.MinTime, c.MaxTime, x.t))
			return
		}
	}
}
