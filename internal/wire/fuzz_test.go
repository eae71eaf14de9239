package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// bounded runs f over b and checks what it allocates.
func bounded(t *testing.T, b []byte, constant int, f func()) {
	t.Helper()
	if used, most := allocated(f), uint64(128*len(b)+constant); used > most {
		t.Fatalf("%d bytes allocated for %d", used, len(b))
	}
}

// requireKnown fails for an error that says nothing a caller can act on.
func requireKnown(t *testing.T, err error, known ...error) {
	t.Helper()
	for _, k := range known {
		if errors.Is(err, k) {
			return
		}
	}
	t.Fatalf("unexpected error %v", err)
}

const (
	slack       = 256 << 10 // fixed costs, of the runtime and the test too
	regexpSlack = 256 << 20 // the most that regular expressions may take
)

func FuzzDecodeSeriesRequest(f *testing.F) {
	r := random{rand.New(rand.NewSource(10))}
	for range 5 {
		req, batch := r.seriesRequest()
		f.Add(wire.AppendSeriesRequest(nil, req, batch))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *store.SeriesRequest
		var batch int
		var err error
		bounded(t, b, regexpSlack, func() { got, batch, err = wire.DecodeSeriesRequest(b) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed, store.ErrInvalidRequest)
			return
		}
		again, batchAgain, err := wire.DecodeSeriesRequest(wire.AppendSeriesRequest(nil, got, batch))
		testutil.Ok(t, err)
		testutil.Equals(t, batch, batchAgain)
		saturated(got)
		requireSameRequest(t, got, again)
	})
}

// saturated makes of durations what is left of them on the wire, where they are
// whole milliseconds. Only those that did not fit are not.
func saturated(r *store.SeriesRequest) {
	r.MaxResolution = r.MaxResolution.Truncate(1e6)
	if h := r.Hints; h != nil {
		h.Step, h.Range = h.Step.Truncate(1e6), h.Range.Truncate(1e6)
	}
}

func FuzzDecodeLabelNamesRequest(f *testing.F) {
	f.Add(wire.AppendLabelNamesRequest(nil, &store.LabelNamesRequest{MinTime: 1, MaxTime: -1, WithoutReplicaLabels: []string{"r"}, StoreHints: &store.Any{}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *store.LabelNamesRequest
		var err error
		bounded(t, b, regexpSlack, func() { got, err = wire.DecodeLabelNamesRequest(b) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed, store.ErrInvalidRequest)
			return
		}
		again, err := wire.DecodeLabelNamesRequest(wire.AppendLabelNamesRequest(nil, got))
		testutil.Ok(t, err)
		requireSameMatchers(t, got.Matchers, again.Matchers)
		got.Matchers, again.Matchers = nil, nil
		testutil.Equals(t, got, again)
	})
}

func FuzzDecodeLabelValuesRequest(f *testing.F) {
	f.Add(wire.AppendLabelValuesRequest(nil, &store.LabelValuesRequest{Label: "l", MinTime: 1, MaxTime: -1, Limit: 5, Strategy: store.Abort}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *store.LabelValuesRequest
		var err error
		bounded(t, b, regexpSlack, func() { got, err = wire.DecodeLabelValuesRequest(b) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed, store.ErrInvalidRequest)
			return
		}
		again, err := wire.DecodeLabelValuesRequest(wire.AppendLabelValuesRequest(nil, got))
		testutil.Ok(t, err)
		requireSameMatchers(t, got.Matchers, again.Matchers)
		got.Matchers, again.Matchers = nil, nil
		testutil.Equals(t, got, again)
	})
}

func FuzzDecodeStrings(f *testing.F) {
	f.Add(wire.AppendStrings(nil, &wire.Strings{Values: []string{"a", ""}, Warnings: []string{"w"}, Hints: &store.Any{TypeURL: "u"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *wire.Strings
		var err error
		bounded(t, b, slack, func() { got, err = wire.DecodeStrings(b) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed)
			return
		}
		again, err := wire.DecodeStrings(wire.AppendStrings(nil, got))
		testutil.Ok(t, err)
		testutil.Equals(t, got, again)
	})
}

func FuzzDecodeReceipt(f *testing.F) {
	fault := func(code uint32, text string) error { return fmt.Errorf("%d %s", code, text) }
	warning := errors.New
	f.Add(wire.AppendReceipt(nil, &wire.Receipt{
		Members: []store.MemberOutcome{
			{Member: "a", LabelSets: []labels.Labels{labels.FromStrings("a", "1")}, Series: 1, Chunks: 2, Bytes: 3, Duration: 5, FirstSeries: 4},
			{Member: "b", Status: store.Failed, Err: errors.New("e"), Warnings: []error{errors.New("w")}},
		}, Omitted: 3, Hints: []store.Any{{TypeURL: "u"}},
	}, func(error) uint32 { return 7 }))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *wire.Receipt
		var err error
		bounded(t, b, slack, func() { got, err = wire.DecodeReceipt(b, fault, warning) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed)
			return
		}
		again, err := wire.DecodeReceipt(wire.AppendReceipt(nil, got, func(error) uint32 { return 7 }), fault, warning)
		testutil.Ok(t, err)
		if again.Omitted == got.Omitted {
			testutil.Equals(t, len(got.Members), len(again.Members))
			testutil.Equals(t, len(got.Hints), len(again.Hints))
		}
	})
}

// Receipts of a peer that keeps to no bounds take little memory, and sums of what
// it omits do not overflow.
func TestReceiptsAreBounded(t *testing.T) {
	for name, field := range map[string][]byte{
		"empty members": {1<<3 | 2, 0},
		"small members": {1<<3 | 2, 3, 1<<3 | 2, 1, 'a'},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 1 << 20
			b := bytes.Repeat(field, n)
			b = append(b, 2<<3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f) // omitted: the most there is
			var got *wire.Receipt
			var err error
			if used := allocated(func() { got, err = wire.DecodeReceipt(b, nil, nil) }); used > 32<<20 {
				t.Fatalf("%d bytes allocated", used)
			}
			testutil.Ok(t, err)
			testutil.Assert(t, len(got.Members) < 20_000, "%d", len(got.Members))
			testutil.Equals(t, math.MaxInt32+n, got.Omitted+len(got.Members))
		})
	}
}

func FuzzDecodeInfo(f *testing.F) {
	r := random{rand.New(rand.NewSource(11))}
	for range 5 {
		f.Add(wire.AppendInfo(nil, r.info()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got *store.Info
		var err error
		bounded(t, b, slack, func() { got, _, err = wire.DecodeInfo(b) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed)
			return
		}
		again, apis, err := wire.DecodeInfo(wire.AppendInfo(nil, got))
		testutil.Ok(t, err)
		testutil.Equals(t, wire.StoreAPI, apis)
		for _, lset := range got.LabelSets {
			if lset.IsEmpty() { // announced as none
				got.LabelSets = nil
				break
			}
		}
		requireSameInfo(t, got, again)
	})
}

func addResponses(f *testing.F) {
	r := random{rand.New(rand.NewSource(12))}
	f.Add(encode(f, plainSeries()))
	f.Add(encode(f, kubeSeries(3, 1)...))
	f.Add(encode(f, r.series(), r.series(), r.series()))
	f.Add(wire.AppendWarning(nil, "w"))
	f.Add(wire.AppendHints(nil, &store.Any{TypeURL: "u", Value: []byte("v")}))
	f.Add(bytesField(4, bytesField(1, label("b", "1"), unknown(), label("a", "2"), bytesField(2, xorChunk(4, "x"), varint(1, 5)))))
}

func FuzzDecodeResponse(f *testing.F) {
	addResponses(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame := encoded.NewFrame(nil)
		var d wire.Decoder
		var err error
		bounded(t, b, slack, func() { _, err = d.Response(b, frame) })
		if err != nil {
			requireKnown(t, err, store.ErrMalformed, store.ErrEncoding)
			return
		}
		want := plain(t, frame)
		var verbatim, fromFields wire.Encoder
		for i, s := range want {
			testutil.Ok(t, verbatim.Add(&frame.Series[i]))
			testutil.Ok(t, fromFields.Add(view(s)))
		}
		for _, e := range []*wire.Encoder{&verbatim, &fromFields} {
			_, again, err := decode(t, e.Response())
			testutil.Ok(t, err)
			requireSeries(t, want, again)
		}
		testutil.Assert(t, frame.Size >= len(b))
	})
}

// What the decoder of the usual form accepts, the careful one takes for the same.
func FuzzUsualSeries(f *testing.F) {
	r := random{rand.New(rand.NewSource(13))}
	for range 20 {
		body, _ := protowire.ConsumeBytes(encode(f, r.series())[1:])
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var usual, careful wire.Decoder
		var s, c encoded.Series
		if !usual.UsualSeries(b, &s) {
			return
		}
		testutil.Ok(t, careful.AnySeries(b, &c))
		testutil.Ok(t, encoded.CheckLabels(s.Labels))
		testutil.Equals(t, string(c.Labels), string(s.Labels))
		testutil.Equals(t, len(c.Chunks), len(s.Chunks))
		for i := range c.Chunks {
			testutil.Equals(t, string(c.Chunks[i].Wire), string(s.Chunks[i].Wire))
			testutil.Assert(t, wire.SameChunk(&c.Chunks[i], &s.Chunks[i]))
		}
	})
}
