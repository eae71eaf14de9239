package wire_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// decode returns the series of a response as plain ones, made before anything
// is overwritten and checked for form.
func decode(t testing.TB, b []byte) (wire.Response, []*store.Series, error) {
	t.Helper()
	f := encoded.NewFrame(nil)
	var d wire.Decoder
	resp, err := d.Response(b, f)
	if err != nil {
		testutil.Equals(t, 0, len(f.Series))
		testutil.Equals(t, 0, f.Size)
		return resp, nil, err
	}
	return resp, plain(t, f), nil
}

func plain(t testing.TB, f *encoded.Frame) (out []*store.Series) {
	t.Helper()
	sb := labels.NewScratchBuilder(0)
	for i := range f.Series {
		testutil.Ok(t, encoded.CheckLabels(f.Series[i].Labels))
		out = append(out, wire.Plain(&f.Series[i], &sb))
	}
	return out
}

func requireSeries(t testing.TB, want, got []*store.Series) {
	t.Helper()
	testutil.Equals(t, len(want), len(got))
	for i := range want {
		requireSameSeries(t, want[i], got[i])
	}
}

func encode(t testing.TB, series ...*store.Series) []byte {
	t.Helper()
	var e wire.Encoder
	for _, s := range series {
		testutil.Ok(t, e.Add(view(s)))
	}
	return e.Response()
}

func TestResponseRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewSource(5))}
	f := encoded.NewFrame(nil)
	var d wire.Decoder // reused, as readers do
	for range 2000 {
		var want []*store.Series
		for range r.Intn(5) {
			want = append(want, r.series())
		}
		b := encode(t, want...)
		resp, err := d.Response(b, f)
		testutil.Ok(t, err)
		kind := wire.KindBatch
		if len(want) == 1 {
			kind = wire.KindSeries
		}
		testutil.Equals(t, wire.Response{Kind: kind}, resp)
		size := len(b) + len(want)*wire.SizeofSeries
		for _, s := range want {
			size += len(s.Chunks) * wire.SizeofChunk
			for _, c := range s.Chunks {
				if c.Aggregated != nil {
					size += wire.SizeofAggregates
				}
			}
		}
		testutil.Equals(t, size, f.Size)
		requireSeries(t, want, plain(t, f))
		// What came from the wire goes out as it was.
		var e wire.Encoder
		for i := range f.Series {
			testutil.Ok(t, e.Add(&f.Series[i]))
		}
		testutil.Equals(t, string(b), string(e.Response()))
		if r.bool() {
			f.Release()
			f.Reset()
			d.Reset()
		}
	}
}

func TestWarningAndHints(t *testing.T) {
	b := wire.AppendWarning([]byte("kept"), "no data")[4:]
	resp, series, err := decode(t, b)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(series))
	clear(b)
	testutil.Equals(t, wire.Response{Kind: wire.KindWarning, Warning: "no data"}, resp)

	b = wire.AppendHints([]byte("kept"), &store.Any{TypeURL: "url", Value: []byte("value")})[4:]
	resp, series, err = decode(t, b)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(series))
	clear(b)
	testutil.Equals(t, wire.Response{Kind: wire.KindHints, Hints: store.Any{TypeURL: "url", Value: []byte("value")}}, resp)

	resp, _, err = decode(t, wire.AppendWarning(nil, ""))
	testutil.Ok(t, err)
	testutil.Equals(t, wire.Response{Kind: wire.KindWarning}, resp)
}

func TestUnknownResponses(t *testing.T) {
	for name, b := range map[string][]byte{"empty": nil, "unknown fields": unknown()} {
		resp, series, err := decode(t, b)
		testutil.Ok(t, err)
		testutil.Equals(t, wire.Response{}, resp, name)
		testutil.Equals(t, 0, len(series))
	}
}

// A SeriesResponse has one result; of several, the last.
func TestLastResultCounts(t *testing.T) {
	one := bytesField(1, label("a", "1"), bytesField(2, xorChunk(4, "x")))
	two := bytesField(4, bytesField(1, label("b", "1")), bytesField(1, label("b", "2")))
	hints := bytesField(3, stringField(1, "url"))
	for name, c := range map[string]struct {
		in   []byte
		want wire.Response
		n    int
	}{
		"series, series":  {join(one, one), wire.Response{Kind: wire.KindSeries}, 1},
		"series, batch":   {join(one, two, unknown()), wire.Response{Kind: wire.KindBatch}, 2},
		"batch, series":   {join(two, one), wire.Response{Kind: wire.KindSeries}, 1},
		"batch, batch":    {join(two, two), wire.Response{Kind: wire.KindBatch}, 2},
		"batch, warning":  {join(two, stringField(2, "w")), wire.Response{Kind: wire.KindWarning, Warning: "w"}, 0},
		"warning, hints":  {join(stringField(2, "w"), hints), wire.Response{Kind: wire.KindHints, Hints: store.Any{TypeURL: "url"}}, 0},
		"hints, hints":    {join(hints, bytesField(3)), wire.Response{Kind: wire.KindHints}, 0},
		"warning, series": {join(stringField(2, "w"), one), wire.Response{Kind: wire.KindSeries}, 1},
	} {
		resp, series, err := decode(t, c.in)
		testutil.Ok(t, err)
		testutil.Equals(t, c.want, resp, name)
		testutil.Equals(t, c.n, len(series), name)
	}
}

// Forms that are valid protobuf and that no usual encoder writes.
func TestUnusualSeries(t *testing.T) {
	long := strings.Repeat("l", 20_000)
	overlong := func(num protowire.Number, body []byte) []byte { // a length in more bytes than it needs
		b := append(protowire.AppendTag(nil, num, protowire.BytesType), byte(len(body))|0x80, 0)
		return append(b, body...)
	}
	chunk := bytesField(2, varint(1, 1), varint(2, 2), xorChunk(3, "raw"))
	want := &store.Series{
		Labels: labels.FromStrings("a", "1", "b", "2"),
		Chunks: []store.Chunk{{MinTime: 1, MaxTime: 2, Raw: data(chunkenc.EncXOR, "raw")}},
	}
	for name, c := range map[string]struct {
		in   []byte
		want *store.Series
	}{
		"usual":                   {join(label("a", "1"), label("b", "2"), chunk), want},
		"unsorted":                {join(label("b", "2"), label("a", "1"), chunk), want},
		"labels behind a chunk":   {join(label("a", "1"), chunk, label("b", "2")), want},
		"unknown before":          {join(unknown(), label("a", "1"), label("b", "2"), chunk), want},
		"unknown between":         {join(label("a", "1"), unknown(), label("b", "2"), unknown(), chunk), want},
		"unknown behind":          {join(label("a", "1"), label("b", "2"), chunk, unknown()), want},
		"unknown in a label":      {join(label("a", "1"), bytesField(1, stringField(1, "b"), unknown(), stringField(2, "2")), chunk), want},
		"value before name":       {join(bytesField(1, stringField(2, "1"), stringField(1, "a")), label("b", "2"), chunk), want},
		"name given twice":        {join(bytesField(1, stringField(1, "x"), stringField(1, "a"), stringField(2, "1")), label("b", "2"), chunk), want},
		"long form of a length":   {join(overlong(1, label("a", "1")[2:]), label("b", "2"), chunk), want},
		"long form of a name":     {join(bytesField(1, overlong(1, []byte("a")), stringField(2, "1")), label("b", "2"), chunk), want},
		"long form of a value":    {join(bytesField(1, stringField(1, "a"), overlong(2, []byte("1"))), label("b", "2"), chunk), want},
		"long form of a chunk":    {join(label("a", "1"), label("b", "2"), overlong(2, chunk[2:])), want},
		"long form of a tag":      {join(label("a", "1"), label("b", "2"), []byte{0x92, 0x00}, chunk[1:]), want},
		"value missing":           {bytesField(1, stringField(1, "a")), &store.Series{Labels: labels.FromStrings("a", "")}},
		"name missing":            {bytesField(1, stringField(2, "1")), &store.Series{Labels: labels.FromStrings("", "1")}},
		"both missing":            {bytesField(1), &store.Series{Labels: labels.FromStrings("", "")}},
		"value empty":             {label("a", ""), &store.Series{Labels: labels.FromStrings("a", "")}},
		"long label":              {join(label("a", "1"), label("b", long)), &store.Series{Labels: labels.FromStrings("a", "1", "b", long)}},
		"names equal in 8 bytes":  {join(label("12345678a", ""), label("12345678b", "")), &store.Series{Labels: labels.FromStrings("12345678a", "", "12345678b", "")}},
		"name prefix of the next": {join(label("a", ""), label("a\x00", "")), &store.Series{Labels: labels.FromStrings("a", "", "a\x00", "")}},
		"nothing":                 {nil, &store.Series{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, b := range [][]byte{bytesField(1, c.in), bytesField(4, unknown(), bytesField(1, c.in), unknown())} {
				_, got, err := decode(t, b)
				testutil.Ok(t, err)
				requireSeries(t, []*store.Series{c.want}, got)
			}
		})
	}
}

func TestUnusualChunks(t *testing.T) {
	aggr := func(a store.AggregatedChunk) *store.AggregatedChunk { return &a }
	xor := func(s string) store.ChunkData { return data(chunkenc.EncXOR, s) }
	for name, c := range map[string]struct {
		in   []byte
		want store.Chunk
	}{
		"nothing":                {nil, store.Chunk{}},
		"times only":             {join(varint(1, math.MaxUint64), varint(2, 1<<62)), store.Chunk{MinTime: -1, MaxTime: 1 << 62}},
		"no data":                {bytesField(3), store.Chunk{Raw: xor("")}},
		"explicit XOR":           {bytesField(3, varint(1, 0), stringField(2, "x")), store.Chunk{Raw: xor("x")}},
		"histogram":              {bytesField(3, varint(1, 1), stringField(2, "x")), store.Chunk{Raw: data(chunkenc.EncHistogram, "x")}},
		"float histogram":        {bytesField(3, stringField(2, "x"), varint(1, 2)), store.Chunk{Raw: data(chunkenc.EncFloatHistogram, "x")}},
		"hash":                   {bytesField(3, stringField(2, "x"), varint(3, math.MaxUint64)), store.Chunk{Raw: xor("x")}},
		"unknown fields":         {join(unknown(), bytesField(3, unknown(), stringField(2, "x")), varint(1, 5)), store.Chunk{MinTime: 5, Raw: xor("x")}},
		"each aggregate":         {join(xorChunk(8, "5"), xorChunk(7, "4"), xorChunk(6, "3"), xorChunk(5, "2"), xorChunk(4, "1")), store.Chunk{Aggregated: aggr(store.AggregatedChunk{Count: xor("1"), Sum: xor("2"), Min: xor("3"), Max: xor("4"), Counter: xor("5")})}},
		"each, unusually":        {join(unknown(), xorChunk(8, "5"), xorChunk(7, "4"), xorChunk(6, "3"), xorChunk(5, "2"), xorChunk(4, "1")), store.Chunk{Aggregated: aggr(store.AggregatedChunk{Count: xor("1"), Sum: xor("2"), Min: xor("3"), Max: xor("4"), Counter: xor("5")})}},
		"raw and aggregates":     {join(xorChunk(3, "r"), xorChunk(6, "m")), store.Chunk{Raw: xor("r"), Aggregated: aggr(store.AggregatedChunk{Min: xor("m")})}},
		"repeated fields merge":  {join(bytesField(3, varint(1, 1)), bytesField(3, stringField(2, "a")), xorChunk(3, "x"), varint(1, 1), varint(1, 2)), store.Chunk{MinTime: 2, Raw: data(chunkenc.EncHistogram, "x")}},
		"merged, unusually":      {join(unknown(), bytesField(3, varint(1, 1)), xorChunk(3, "x")), store.Chunk{Raw: data(chunkenc.EncHistogram, "x")}},
		"type that wraps":        {bytesField(3, varint(1, 1<<32|1)), store.Chunk{Raw: data(chunkenc.EncHistogram, "")}},
		"type that is replaced":  {bytesField(3, varint(1, 7), varint(1, 1)), store.Chunk{Raw: data(chunkenc.EncHistogram, "")}},
		"varints in long form":   {[]byte{0x08, 0x85, 0x80, 0x00, 0x10, 0x86, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, store.Chunk{MinTime: 5, MaxTime: 6}},
		"varints of all lengths": {join(varint(1, 1<<7), varint(1, 1<<14), varint(1, 1<<21), varint(1, 1<<28), varint(1, 1<<35), varint(1, 1<<42), varint(1, 1<<49), varint(1, 1<<55), varint(2, 1<<56), varint(2, 1<<63)), store.Chunk{MinTime: 1 << 55, MaxTime: math.MinInt64}},
	} {
		t.Run(name, func(t *testing.T) {
			want := &store.Series{Labels: labels.FromStrings("a", "1"), Chunks: []store.Chunk{c.want}}
			_, got, err := decode(t, bytesField(1, label("a", "1"), bytesField(2, c.in)))
			testutil.Ok(t, err)
			requireSeries(t, []*store.Series{want}, got)
		})
	}
}

func TestUnsupportedEncodings(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		want chunkenc.Encoding
	}{
		"next":              {bytesField(3, varint(1, 3)), 4},
		"last that fits":    {bytesField(3, varint(1, 253)), 254},
		"does not fit":      {bytesField(3, varint(1, 255)), 255},
		"two bytes":         {bytesField(3, varint(1, 1000)), 255},
		"negative":          {bytesField(3, varint(1, math.MaxUint64)), 255},
		"in an aggregate":   {join(xorChunk(3, "x"), xorChunk(4, "x"), bytesField(8, varint(1, 5))), 6},
		"raw comes first":   {join(bytesField(4, varint(1, 8)), bytesField(3, varint(1, 7))), 8},
		"set, then no type": {join(bytesField(3, varint(1, 4)), xorChunk(3, "x")), 5},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := decode(t, bytesField(4,
				bytesField(1, label("a", "1")),
				bytesField(1, bytesField(2, c.in), label("b", "1"), bytesField(2, xorChunk(3, "x"))),
			))
			var enc *store.EncodingError
			testutil.Assert(t, errors.As(err, &enc), "%v", err)
			testutil.Assert(t, !errors.Is(err, store.ErrMalformed), "%v", err)
			testutil.Equals(t, c.want, enc.Encoding)
			testutil.Equals(t, `{b="1"}`, enc.Series.String())
		})
	}
}

func TestDuplicateLabelNames(t *testing.T) {
	for name, b := range map[string][]byte{
		"neighbours": join(label("a", "1"), label("a", "1")),
		"apart":      join(label("a", "1"), label("b", "1"), label("a", "2")),
		"no names":   join(bytesField(1), bytesField(1)),
		"long names": join(label("123456789", "1"), label("123456789", "2")),
	} {
		_, _, err := decode(t, bytesField(1, b))
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: %v", name, err)
	}
}

func TestLimits(t *testing.T) {
	series := func(chunks int, fields ...[]byte) []byte {
		return bytesField(1, label("a", fmt.Sprint(chunks)), join(fields...), []byte(strings.Repeat(string(bytesField(2)), chunks)))
	}
	batch := bytesField(4, series(2), series(0), series(3, unknown()), series(1)) // unknown: counted once all the same
	isLimit := func(err error, limit string, most int64) {
		t.Helper()
		var le *store.LimitError
		testutil.Assert(t, errors.As(err, &le) && errors.Is(err, store.ErrLimit), "%v", err)
		testutil.Assert(t, !errors.Is(err, store.ErrMalformed), "%v", err)
		testutil.Equals(t, store.LimitError{Limit: limit, Max: most}, *le)
	}
	f := encoded.NewFrame(nil)
	for _, most := range []int64{0, 4, 8} {
		limits := &wire.Limits{MaxSeries: most}
		d := wire.Decoder{Limits: limits}
		_, err := d.Response(batch, f)
		testutil.Ok(t, err)
		testutil.Equals(t, wire.Limits{MaxSeries: most, Series: 4, Chunks: 6}, *limits)
		e := wire.Decoder{Limits: limits} // the stream goes on in another frame
		_, err = e.Response(batch, f)
		if most == 4 {
			isLimit(err, "series", 4)
			continue
		}
		testutil.Ok(t, err)
	}
	for _, most := range []int64{0, 6, 12} {
		limits := &wire.Limits{MaxChunks: most}
		d := wire.Decoder{Limits: limits}
		_, err := d.Response(batch, f)
		testutil.Ok(t, err)
		_, err = d.Response(batch, f)
		if most == 6 {
			isLimit(err, "chunks", 6)
			continue
		}
		testutil.Ok(t, err)
		testutil.Equals(t, int64(12), limits.Chunks)
	}
	d := wire.Decoder{Limits: &wire.Limits{MaxChunks: 4}}
	_, err := d.Response(batch, f) // inside the series that is looked at twice
	isLimit(err, "chunks", 4)
	testutil.Equals(t, 0, len(f.Series))
}

// A limit must also spare the memory of what it forbids.
func TestLimitsBoundMemory(t *testing.T) {
	var many []byte
	for range 1 << 16 {
		many = append(many, bytesField(2)...)
	}
	b := bytesField(1, many)
	used := allocated(func() {
		d := wire.Decoder{Limits: &wire.Limits{MaxChunks: 100}}
		_, err := d.Response(b, encoded.NewFrame(nil))
		testutil.Assert(t, errors.Is(err, store.ErrLimit))
	})
	testutil.Assert(t, used < 64<<10, "%d bytes for 100 chunks", used)

	b = bytesField(4, []byte(strings.Repeat(string(bytesField(1)), 1<<16)))
	used = allocated(func() {
		d := wire.Decoder{Limits: &wire.Limits{MaxSeries: 100}}
		_, err := d.Response(b, encoded.NewFrame(nil))
		testutil.Assert(t, errors.Is(err, store.ErrLimit))
	})
	testutil.Assert(t, used < 64<<10, "%d bytes for 100 series", used)
}

// Frames are reused while others are kept: each Decoder's memory is its own.
func TestDecodersDoNotShareMemory(t *testing.T) {
	r := random{rand.New(rand.NewSource(6))}
	type held struct {
		d    wire.Decoder
		f    *encoded.Frame
		want []*store.Series
	}
	var live []*held
	for range 300 {
		h := &held{f: encoded.NewFrame(nil)}
		if len(live) > 5 {
			h = live[0]
			live = live[1:]
			requireSeries(t, h.want, plain(t, h.f))
			h.d.Reset()
		}
		h.want = nil
		for range 1 + r.Intn(20) {
			h.want = append(h.want, r.series())
		}
		_, err := h.d.Response(encode(t, h.want...), h.f)
		testutil.Ok(t, err)
		live = append(live, h)
	}
	for _, h := range live {
		requireSeries(t, h.want, plain(t, h.f))
	}
}

// Whoever made plain series needs neither the buffer nor the frame any more.
func TestPlainOutlivesTheBuffer(t *testing.T) {
	want := kubeSeries(100, 2)
	want = append(want, plainSeries())
	b := append(encode(t, want...), unknown()...)
	f := encoded.NewFrame(nil)
	var d wire.Decoder
	_, err := d.Response(b, f)
	testutil.Ok(t, err)
	got := plain(t, f)
	for i := range b {
		b[i] = 0xee
	}
	f.Release()
	f.Reset()
	d.Reset()
	_, err = d.Response(bytesField(1, label("z", "z"), label("b", "b")), f)
	testutil.Ok(t, err)
	requireSeries(t, want, got)
}
