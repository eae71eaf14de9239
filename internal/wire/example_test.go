package wire_test

import (
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func ExampleDecodeSeriesRequest() {
	b := wire.AppendSeriesRequest(nil, &store.SeriesRequest{
		MinTime: 1000, MaxTime: 2000, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "job", "n.*")},
	}, 64)
	req, batch, err := wire.DecodeSeriesRequest(b)
	fmt.Println(req, batch, err)
	// Output: {job=~"n.*"}[1000..2000] 64 <nil>
}

func ExampleDecodeLabelNamesRequest() {
	req, err := wire.DecodeLabelNamesRequest(wire.AppendLabelNamesRequest(nil, &store.LabelNamesRequest{MaxTime: 2000}))
	fmt.Println(req.MaxTime, err)
	// Output: 2000 <nil>
}

func ExampleDecodeLabelValuesRequest() {
	req, err := wire.DecodeLabelValuesRequest(wire.AppendLabelValuesRequest(nil, &store.LabelValuesRequest{Label: "job"}))
	fmt.Println(req.Label, err)
	// Output: job <nil>
}

func ExampleDecodeStrings() {
	s, err := wire.DecodeStrings(wire.AppendStrings(nil, &wire.Strings{Values: []string{"node", "prometheus"}}))
	fmt.Println(s.Values, err)
	// Output: [node prometheus] <nil>
}

func ExampleDecodeInfo() {
	b := wire.AppendInfo(nil, &store.Info{Component: "sidecar", LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu")}})
	info, apis, err := wire.DecodeInfo(b)
	fmt.Println(info.Component, info.LabelSets[0], apis.Has(wire.StoreAPI), err)
	// Output: sidecar {cluster="eu"} true <nil>
}

// A frame, the decoder of what is in it and the buffer it came in have one
// lifetime, and are best pooled together.
func ExampleDecoder() {
	type received struct {
		*encoded.Frame
		dec wire.Decoder
		buf []byte
	}
	var pool sync.Pool
	pool.New = func() any {
		r := &received{}
		r.Frame = encoded.NewFrame(func(*encoded.Frame) {
			r.Frame.Reset()
			r.dec.Reset()
			pool.Put(r)
		})
		return r
	}

	limits := &wire.Limits{MaxSeries: 1000} // of the whole stream
	r := pool.Get().(*received)
	r.buf = append(r.buf[:0], 0x0a, 0x08, 0x0a, 0x06, 0x0a, 0x01, 'a', 0x12, 0x01, 'b')
	r.dec.Limits = limits
	resp, err := r.dec.Response(r.buf, r.Frame)
	if err != nil {
		fmt.Println(err)
	}
	sb := labels.NewScratchBuilder(0)
	fmt.Println(resp.Kind == wire.KindSeries, encoded.Labels(r.Series[0].Labels, &sb), limits.Series)
	r.Release()
	// Output: true {a="b"} 1
}

// Responses are cut when they reach a size; a series that is larger goes in
// parts.
func ExampleEncoder() {
	const target = 120
	var e wire.Encoder
	var buf []byte // from a pool
	send := func() {
		if e.Series() > 0 {
			fmt.Println(e.Series(), "series,", len(e.Response()), "bytes")
			buf = e.Buffer()
		}
		e.Reset(buf)
	}
	add := func(s encoded.Series) {
		for {
			part := s
			part.Chunks = s.Chunks[:wire.Split(&s, target)]
			if e.Len()+wire.SeriesSize(&part) > target {
				send()
			}
			if err := e.Add(&part); err != nil {
				fmt.Println(err)
				return
			}
			if s.Chunks = s.Chunks[len(part.Chunks):]; len(s.Chunks) == 0 {
				return
			}
		}
	}
	chunk := encoded.Chunk{MinTime: 1, MaxTime: 2, Raw: encoded.Data{Encoding: chunkenc.EncXOR, Bytes: make([]byte, 30)}}
	for _, name := range []string{"a", "b", "c"} {
		lset := encoded.AppendLabels(nil, labels.FromStrings("__name__", name))
		add(encoded.Series{Labels: lset, Chunks: []encoded.Chunk{chunk}})
	}
	lset := encoded.AppendLabels(nil, labels.FromStrings("__name__", "large"))
	add(encoded.Series{Labels: lset, Chunks: []encoded.Chunk{chunk, chunk, chunk}})
	send()
	// Output:
	// 2 series, 116 bytes
	// 1 series, 57 bytes
	// 1 series, 101 bytes
	// 1 series, 61 bytes
}

func ExampleAppendWarning() {
	var d wire.Decoder
	resp, err := d.Response(wire.AppendWarning(nil, "block missing"), encoded.NewFrame(nil))
	fmt.Println(resp.Warning, err)
	// Output: block missing <nil>
}

func ExampleAppendHints() {
	var d wire.Decoder
	resp, err := d.Response(wire.AppendHints(nil, &store.Any{TypeURL: "example.com/hints"}), encoded.NewFrame(nil))
	fmt.Println(resp.Hints.TypeURL, err)
	// Output: example.com/hints <nil>
}
