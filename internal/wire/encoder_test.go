package wire_test

import (
	"errors"
	"math/rand"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func TestSizes(t *testing.T) {
	r := random{rand.New(rand.NewSource(8))}
	for range 2000 {
		var e wire.Encoder
		testutil.Equals(t, 0, e.Len())
		sum := 0
		for n := range r.Intn(4) {
			s := view(r.series())
			testutil.Ok(t, e.Add(s))
			sum += wire.SeriesSize(s)
			testutil.Equals(t, n+1, e.Series())
			testutil.Equals(t, sum, e.Len())
			without := *s
			without.Chunks = nil
			chunks := 0
			for i := range s.Chunks {
				chunks += wire.ChunkSize(&s.Chunks[i])
			}
			alone := wire.Encoder{}
			testutil.Ok(t, alone.Add(&without))
			testutil.Ok(t, alone.Add(&encoded.Series{}))
			body := alone.Len() - 2 // an empty series takes 2 bytes
			testutil.Assert(t, wire.SeriesSize(s)-body-chunks >= 0 && wire.SeriesSize(s)-body-chunks <= 4)
		}
		n := len(e.Response())
		if e.Series() == 1 {
			testutil.Equals(t, sum, n)
		}
		testutil.Assert(t, n >= sum && n <= sum+11, "%d bytes for series of %d", n, sum)
	}
}

// The length of a batch may take from one byte to several.
func TestBatchHeaders(t *testing.T) {
	for _, n := range []int{0, 1, 120, 130, 16_300, 16_400, 1 << 21} {
		want := []*store.Series{
			{Labels: labels.FromStrings("a", "1")},
			{Labels: labels.FromStrings("b", "2"), Chunks: []store.Chunk{{Raw: data(chunkenc.EncXOR, strings.Repeat("x", n))}}},
		}
		resp, got, err := decode(t, encode(t, want...))
		testutil.Ok(t, err)
		testutil.Equals(t, wire.KindBatch, resp.Kind)
		requireSeries(t, want, got)
	}
}

func TestEncoderReusesItsBuffer(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	var e wire.Encoder
	for _, s := range kubeSeries(10, 1) {
		e.Reset(buf)
		testutil.Equals(t, 0, e.Series())
		testutil.Ok(t, e.Add(view(s)))
		first := string(e.Response())
		testutil.Ok(t, e.Add(view(s))) // after a look at the response it goes on
		testutil.Equals(t, first+first, string(e.Response()[len(e.Response())-2*len(first):]))
		testutil.Equals(t, string(e.Response()), string(e.Response()))
		testutil.Assert(t, &e.Buffer()[:1][0] == &buf[:1][0])
	}
	e.Reset(make([]byte, 0, 1)) // too small is no mistake
	testutil.Ok(t, e.Add(view(plainSeries())))
	_, got, err := decode(t, e.Response())
	testutil.Ok(t, err)
	requireSeries(t, []*store.Series{plainSeries()}, got)
	e.Reset(nil)
	testutil.Equals(t, 0, len(e.Buffer()))
}

func TestEncoderWritesChunksAsTheyCame(t *testing.T) {
	came := join(unknown(), bytesField(3, varint(3, 12345), stringField(2, "raw"), varint(1, 0)), varint(1, 5))
	b := bytesField(1, label("a", "1"), bytesField(2, came))
	f := encoded.NewFrame(nil)
	var d wire.Decoder
	_, err := d.Response(b, f)
	testutil.Ok(t, err)
	var e wire.Encoder
	testutil.Ok(t, e.Add(&f.Series[0]))
	testutil.Equals(t, string(b), string(e.Response()))

	// One that came empty is not one that did not come.
	testutil.Ok(t, e.Add(&encoded.Series{Chunks: []encoded.Chunk{{Wire: []byte{}, MinTime: 1}}}))
	_, got, err := decode(t, e.Response())
	testutil.Ok(t, err)
	testutil.Equals(t, store.Chunk{}, got[1].Chunks[0])
}

func TestEncoderRefusesEncodings(t *testing.T) {
	bad := encoded.Data{Encoding: lastKnown + 1, Bytes: []byte("x")}
	lset := encoded.AppendLabels(nil, labels.FromStrings("a", "1"))
	for name, c := range map[string]encoded.Chunk{
		"raw":     {Raw: bad},
		"count":   {Aggregates: &encoded.Aggregates{Count: bad}},
		"sum":     {Aggregates: &encoded.Aggregates{Sum: bad}},
		"min":     {Aggregates: &encoded.Aggregates{Min: bad}},
		"max":     {Aggregates: &encoded.Aggregates{Max: bad}},
		"counter": {Aggregates: &encoded.Aggregates{Counter: bad}},
	} {
		var e wire.Encoder
		testutil.Ok(t, e.Add(view(plainSeries())))
		before := string(e.Response())
		err := e.Add(&encoded.Series{Labels: lset, Chunks: []encoded.Chunk{{}, c}})
		var enc *store.EncodingError
		testutil.Assert(t, errors.As(err, &enc), "%s: %v", name, err)
		testutil.Equals(t, lastKnown+1, enc.Encoding)
		testutil.Equals(t, `{a="1"}`, enc.Series.String())
		testutil.Equals(t, before, string(e.Response()))
	}
}

const lastKnown = chunkenc.EncFloatHistogram

func TestSplit(t *testing.T) {
	s := view(kubeSeries(1, 10)[0])
	testutil.Equals(t, 10, wire.Split(s, wire.SeriesSize(s)))
	testutil.Equals(t, 9, wire.Split(s, wire.SeriesSize(s)-1))
	testutil.Equals(t, 1, wire.Split(s, 0))
	testutil.Equals(t, 0, wire.Split(&encoded.Series{Labels: s.Labels}, 0))

	size := wire.SeriesSize(s) / 3
	var parts [][]byte
	rest := *s
	for len(rest.Chunks) > 0 {
		n := wire.Split(&rest, size)
		part := encoded.Series{Labels: rest.Labels, Chunks: rest.Chunks[:n]}
		testutil.Assert(t, wire.SeriesSize(&part) <= size)
		if n < len(rest.Chunks) {
			longer := encoded.Series{Labels: rest.Labels, Chunks: rest.Chunks[:n+1]}
			testutil.Assert(t, wire.SeriesSize(&longer) > size)
		}
		rest.Chunks = rest.Chunks[n:]
		var e wire.Encoder
		testutil.Ok(t, e.Add(&part))
		parts = append(parts, e.Response())
	}
	testutil.Assert(t, len(parts) > 2)
	var chunks []store.Chunk
	for _, p := range parts {
		_, got, err := decode(t, p)
		testutil.Ok(t, err)
		testutil.Equals(t, kubeSeries(1, 0)[0].Labels.String(), got[0].Labels.String())
		chunks = append(chunks, got[0].Chunks...)
	}
	testutil.Equals(t, kubeSeries(1, 10)[0].Chunks, chunks)
}
