package wire

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/store"
)

// Types of the hints that Thanos' store gateway understands in requests and
// sends with answers.
//
// Source: Thanos' pkg/store/hintspb/hints.proto.
const (
	SeriesRequestHintsType       = hintsPrefix + "SeriesRequestHints"
	SeriesResponseHintsType      = hintsPrefix + "SeriesResponseHints"
	LabelNamesRequestHintsType   = hintsPrefix + "LabelNamesRequestHints"
	LabelNamesResponseHintsType  = hintsPrefix + "LabelNamesResponseHints"
	LabelValuesRequestHintsType  = hintsPrefix + "LabelValuesRequestHints"
	LabelValuesResponseHintsType = hintsPrefix + "LabelValuesResponseHints"

	hintsPrefix = "type.googleapis.com/hintspb."
)

// BlockHints are the request hints of a store gateway.
type BlockHints struct {
	// Matchers select blocks by their external labels and their ULID, which is the
	// label __block_id. None selects all.
	Matchers []*labels.Matcher
	// QueryStats asks for statistics in the response hints of a series request.
	QueryStats bool
}

// DecodeBlockHints decodes the hints of a request. They are the zero value for
// nil hints.
//
// Errors: store.ErrInvalidRequest if they are of another type, or damaged, or a
// matcher cannot be.
func DecodeBlockHints(hints *store.Any, typeURL string) (BlockHints, error) {
	var out BlockHints
	if hints == nil {
		return out, nil
	}
	if hints.TypeURL != typeURL {
		return out, fmt.Errorf("%w: request hints of type %q, not %q", store.ErrInvalidRequest, hints.TypeURL, typeURL)
	}
	var ms matchers
	m := message{rest: hints.Value}
	for m.next() {
		switch {
		case m.num == 1:
			m.sub(ms.add)
		case m.num == 2 && typeURL == SeriesRequestHintsType:
			out.QueryStats = m.bool()
		}
	}
	if m.err != nil {
		return BlockHints{}, fmt.Errorf("%w: request hints: %w", store.ErrInvalidRequest, m.err)
	}
	var err error
	out.Matchers, err = ms.compile()
	return out, err
}

// AppendBlockHints appends the hints to dst that DecodeBlockHints decodes.
func AppendBlockHints(dst []byte, h *BlockHints) []byte {
	dst = appendMatchers(dst, 1, h.Matchers)
	return appendBool(dst, 2, h.QueryStats)
}

// AppendQueriedBlocks appends response hints with the ULIDs of the blocks that
// were read, and with statistics if there are any, to dst.
func AppendQueriedBlocks(dst []byte, blocks []string, stats *QueryStats) []byte {
	for _, id := range blocks {
		dst = appendMessage(dst, 1, func(dst []byte) []byte { return appendString(dst, 1, id) })
	}
	if stats != nil {
		dst = appendMessage(dst, 2, stats.append)
	}
	return dst
}

// QueryStats are what a store gateway did for a series request; hintspb.QueryStats.
type QueryStats struct {
	Blocks, Series, Chunks int64
	// Postings, SeriesEntries and ChunkRanges are what was read of each.
	Postings, SeriesEntries, ChunkRanges DataStats
}

// DataStats is what was read of one kind of data.
type DataStats struct {
	Touched, TouchedBytes int64 // wherever from
	Fetched, FetchedBytes int64 // from the bucket
	Requests              int64
}

func (s *QueryStats) append(dst []byte) []byte {
	dst = appendInt64(dst, 1, s.Blocks)
	dst = appendInt64(dst, 2, s.Series)
	dst = appendInt64(dst, 3, s.Chunks)
	p, e, c := &s.Postings, &s.SeriesEntries, &s.ChunkRanges
	for i, v := range []int64{
		p.Touched, p.TouchedBytes, p.Fetched, p.Fetched, p.FetchedBytes, p.Requests,
		e.Touched, e.TouchedBytes, e.Fetched, e.FetchedBytes, e.Requests,
		c.Touched, c.TouchedBytes, c.Fetched, c.FetchedBytes, c.Requests,
		p.FetchedBytes + e.FetchedBytes + c.FetchedBytes,
	} {
		dst = appendInt64(dst, protowire.Number(4+i), v)
	}
	return dst
}

// DecodeQueriedBlocks decodes the ULIDs of response hints.
//
// Errors: store.ErrMalformed.
func DecodeQueriedBlocks(b []byte) (blocks []string, err error) {
	m := message{rest: b}
	for m.next() {
		if m.num != 1 {
			continue
		}
		m.sub(func(b []byte) error {
			id := ""
			f := message{rest: b}
			for f.next() {
				if f.num == 1 {
					id = f.string()
				}
			}
			blocks = append(blocks, id)
			return f.err
		})
	}
	if m.err != nil {
		return nil, malformed("queried blocks", m.err)
	}
	return blocks, nil
}
