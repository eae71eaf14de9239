package query

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/store"
)

// builder makes series of parts.
//
// What one replica has of a series is one track: where raw chunks of it overlap, as
// those of a sidecar and of a store gateway do, all samples count. Where others do,
// the data is in several resolutions; there the chunk that begins first counts, as
// samples of different resolutions cannot stand side by side.
//
// If replicas are not told apart, because their labels are gone, chunks that overlap
// are split into tracks that are merged as if they were replicas.
//
// Counters are raised over their resets where downsampled data is among them, and
// where the algorithm needs that to compare replicas. Else the engine gets to see
// raw data as it is.
type builder struct {
	sel   *selection
	ranks ranks
	answer

	// tracks and merges are room for the series to come, lists is scratch space.
	tracks []track
	merges []chunkenc.Iterable
	lists  []list
}

// list is the chunks of one track to be.
type list struct {
	chunks  []chunk
	overlap bool
	replica int32
}

// add makes a series of parts, of which each has the given labels.
func (b *builder) add(lset labels.Labels, parts []part) {
	b.series = append(b.series, series{lset: lset, sel: b.sel})
	s := &b.series[len(b.series)-1]
	s.only[0] = &s.whole
	s.whole.series, s.whole.lone = s, true
	switch {
	case !b.sel.merged():
		l := list{}
		l.chunks, l.overlap = tidy(parts[0].chunks)
		s.whole.set(&l)
	case b.sel.identified:
		b.merge(s, parts)
	default:
		chunks := parts[0].chunks
		for _, p := range parts[1:] {
			chunks = append(chunks, p.chunks...)
		}
		b.split(s, chunks)
	}
	s.counter = b.sel.aggregates == store.AggregateCounter &&
		(s.aggregated() || b.sel.raised && len(s.tracks) > 1)
	s.levelled = s.counter && !b.sel.silent && len(s.tracks) > 1
}

// merge makes the series of parts of replicas that are told apart.
func (b *builder) merge(s *series, parts []part) {
	places := b.ranks.of(s.lset)
	slices.SortStableFunc(parts, func(x, y part) int { return int(places[x.replica]) - int(places[y.replica]) })
	b.lists = b.lists[:0]
	for len(parts) > 0 {
		l := list{chunks: parts[0].chunks, replica: parts[0].replica}
		for parts = parts[1:]; len(parts) > 0 && parts[0].replica == l.replica; parts = parts[1:] {
			l.chunks = append(l.chunks, parts[0].chunks...)
		}
		b.in[l.replica]++
		l.chunks, l.overlap = tidy(l.chunks)
		switch {
		case l.overlap && b.replicas[l.replica].IsEmpty():
			// Several replicas have lost what told them apart.
			b.unidentified++
			b.lists = appendTracks(b.lists, &l)
		case !b.sel.dropsCopies || !slices.ContainsFunc(b.lists, l.same):
			b.lists = append(b.lists, l)
		}
	}
	b.set(s)
}

// split makes the series of chunks of replicas that are not told apart.
func (b *builder) split(s *series, chunks []chunk) {
	l := list{}
	l.chunks, l.overlap = tidy(chunks)
	b.lists = append(b.lists[:0], l)
	if l.overlap {
		b.unidentified++
		b.lists = appendTracks(b.lists[:0], &l)
	}
	b.set(s)
}

// appendTracks appends the tracks of l, whose chunks overlap.
func appendTracks(lists []list, l *list) []list {
	for _, chunks := range dedup.Tracks(l.chunks, span) {
		lists = append(lists, list{chunks: chunks, replica: l.replica})
	}
	return lists
}

// same reports whether two lists have the same chunks.
func (l *list) same(o list) bool {
	return slices.EqualFunc(l.chunks, o.chunks, func(a, b chunk) bool { return a.same(&b) })
}

// set makes tracks of the lists.
func (b *builder) set(s *series) {
	if len(b.lists) == 1 {
		s.whole.set(&b.lists[0])
		return
	}
	n := len(b.lists)
	if len(b.tracks) < n {
		b.tracks, b.merges = make([]track, max(n, trackPage)), make([]chunkenc.Iterable, max(n, trackPage))
	}
	s.tracks, b.tracks = b.tracks[:n:n], b.tracks[n:]
	s.merges, b.merges = b.merges[:n:n], b.merges[n:]
	for i := range s.tracks {
		t := &s.tracks[i]
		t.series = s
		t.set(&b.lists[i])
		s.merges[i] = t
	}
}

// trackPage is how many tracks are allocated at once.
const trackPage = 64

// set sets the chunks of a track.
func (t *track) set(l *list) {
	t.chunks, t.replica = l.chunks, l.replica
	if !l.overlap || slices.ContainsFunc(l.chunks, func(c chunk) bool { return c.aggregated }) {
		return
	}
	if t.all = !slices.ContainsFunc(l.chunks, func(c chunk) bool { return c.encoding != chunkenc.EncXOR }); t.all {
		return
	}
	parts := dedup.Tracks(l.chunks, span)
	own := make([]track, len(parts))
	t.union = make([]chunkenc.Iterable, len(parts))
	for i, p := range parts {
		own[i].series, own[i].chunks = t.series, p
		t.union[i] = &own[i]
	}
}

// aggregated reports whether any chunk of the series is.
func (s *series) aggregated() bool {
	for i := range s.tracks {
		if s.tracks[i].aggregated() {
			return true
		}
	}
	return s.whole.aggregated()
}

func (t *track) aggregated() bool {
	for i := range t.chunks {
		if t.chunks[i].aggregated {
			return true
		}
	}
	return false
}
