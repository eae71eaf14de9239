package interop

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// The codec of internal/wire is held to Thanos' own: of any bytes, the two
// accept the same and understand the same by it, and what ours writes, Thanos
// reads as it was meant.
//
// Ours refuses more in five cases, all deliberate: damage that Thanos overlooks
// and Google's protobuf library does not (see strict), label sets with a name
// twice, labels of 16 MiB, matchers that cannot be compiled, and chunk encodings
// that do not exist.

// protoMessage is one of Thanos' messages.
type protoMessage interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// wireMessage is a message on both sides.
type wireMessage struct {
	// empty makes Thanos' message, random one with content.
	empty  func() protoMessage
	random func(*wireRandom) protoMessage
	// meaning is what Thanos' message means in our types. An error says that it
	// means nothing that we accept.
	meaning func(protoMessage) (any, error)
	// decode and encode are ours.
	decode func([]byte) (any, error)
	encode func(any) ([]byte, error)
	// kept is what remains of a meaning when we encode it.
	kept func(any) any
	// shape says which fields hold messages.
	shape shape
}

// check compares what both sides make of b. exact says that b is what Thanos
// itself would write.
func (w wireMessage) check(t testing.TB, b []byte, exact bool) {
	t.Helper()
	m := w.empty()
	thanosErr := m.Unmarshal(bytes.Clone(b))
	got, err := w.decode(bytes.Clone(b))
	if err != nil {
		if !wireErrorIsKnown(err) {
			t.Fatalf("%x: unexpected kind of error: %v", b, err)
		}
		if thanosErr == nil && w.shape.strict(b) == nil && w.meaningful(b) {
			t.Fatalf("%x: Thanos accepts, ours does not: %v", b, err)
		}
		return
	}
	if thanosErr != nil {
		t.Fatalf("%x: ours accepts, Thanos does not: %v", b, thanosErr)
	}
	want, err := w.meaning(m)
	if err != nil {
		t.Fatalf("%x: ours accepts what means nothing: %v", b, err)
	}
	requireEqual(t, want, got)

	out, err := w.encode(got)
	testutil.Ok(t, err)
	again := w.empty()
	testutil.Ok(t, again.Unmarshal(bytes.Clone(out)))
	meant, err := w.meaning(again)
	testutil.Ok(t, err)
	requireEqual(t, w.kept(want), meant)
	if exact {
		theirs, err := again.Marshal()
		testutil.Ok(t, err)
		testutil.Equals(t, string(theirs), string(out))
	}
}

func wireErrorIsKnown(err error) bool {
	return slices.ContainsFunc([]error{store.ErrMalformed, store.ErrInvalidRequest, store.ErrEncoding}, func(k error) bool { return errors.Is(err, k) })
}

// meaningful reports whether b means something as a whole and in each of its
// fields: of a result that another replaces, Thanos says nothing.
func (w wireMessage) meaningful(b []byte) bool {
	check := func(b []byte) bool {
		m := w.empty()
		if m.Unmarshal(bytes.Clone(b)) != nil {
			return false
		}
		_, err := w.meaning(m)
		return err == nil
	}
	for rest := b; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 || !check(rest[:n]) {
			return false
		}
		rest = rest[n:]
	}
	return check(b)
}

// requireEqual compares meanings. Empty is the same as nil.
func requireEqual(t testing.TB, thanos, ours any) {
	t.Helper()
	if reflect.DeepEqual(thanos, ours) { // much faster
		return
	}
	compared := cmp.Options{
		cmp.Comparer(bytes.Equal), cmp.Comparer(labels.Equal), cmpopts.IgnoreUnexported(store.Outcome{}),
		cmp.Comparer(func(a, b *labels.Matcher) bool { return a.String() == b.String() }),
	}
	others := func(p cmp.Path) bool {
		t := p.Last().Type()
		return t != reflect.TypeFor[[]byte]() && t != reflect.TypeFor[labels.Labels]()
	}
	if d := cmp.Diff(thanos, ours, compared, cmp.FilterPath(others, cmpopts.EquateEmpty())); d != "" {
		t.Fatalf("- Thanos, + ours:\n%s", d)
	}
}

// strict finds damage that Thanos' decoder overlooks: numbers in more bits than
// they have, groups that end as others, packed numbers that go on behind their
// field, fields of newer versions.
func (s shape) strict(b []byte) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		v := protowire.ConsumeFieldValue(num, typ, b[n:])
		if v < 0 {
			return protowire.ParseError(v)
		}
		body, _ := protowire.ConsumeBytes(b[n:])
		b = b[n+v:]
		sub, ok := s[num]
		if !ok {
			continue
		}
		if typ != protowire.BytesType {
			if sub.isPacked() && typ == protowire.VarintType {
				continue
			}
			return errors.New("not length-delimited")
		}
		for sub.isPacked() && len(body) > 0 {
			_, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return protowire.ParseError(n)
			}
			body = body[n:]
		}
		if !sub.isPacked() && sub != nil {
			if err := sub.strict(body); err != nil {
				return err
			}
		}
	}
	return nil
}

func runWire(t *testing.T, w wireMessage) {
	t.Run("as Thanos writes it", func(t *testing.T) {
		r := &wireRandom{Rand: rand.New(rand.NewPCG(1, 0))}
		for range 1000 {
			b, err := w.random(r).Marshal()
			testutil.Ok(t, err)
			w.check(t, b, true)
		}
	})
	t.Run("changed", func(t *testing.T) {
		r := &wireRandom{Rand: rand.New(rand.NewPCG(2, 0)), odd: true}
		accepted := 0
		const n = 5000
		for range n {
			b, err := w.random(r).Marshal()
			testutil.Ok(t, err)
			other, err := w.random(r).Marshal()
			testutil.Ok(t, err)
			b = r.change(b, other, w.shape)
			w.check(t, b, false)
			if w.empty().Unmarshal(b) == nil {
				accepted++
			}
		}
		// Neither all nothing but damage, nor all whole.
		testutil.Assert(t, accepted > n/10 && accepted < n*9/10, "%d of %d accepted", accepted, n)
	})
}

func fuzzWire(f *testing.F, w wireMessage) {
	r := &wireRandom{Rand: rand.New(rand.NewPCG(3, 0)), odd: true}
	for range 20 {
		b, err := w.random(r).Marshal()
		testutil.Ok(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { w.check(t, b, false) })
}

func TestWireSeriesRequest(t *testing.T)      { runWire(t, seriesRequestMessage()) }
func TestWireLabelNamesRequest(t *testing.T)  { runWire(t, labelNamesRequestMessage()) }
func TestWireLabelValuesRequest(t *testing.T) { runWire(t, labelValuesRequestMessage()) }
func TestWireLabelNames(t *testing.T)         { runWire(t, labelNamesMessage()) }
func TestWireLabelValues(t *testing.T)        { runWire(t, labelValuesMessage()) }
func TestWireInfo(t *testing.T)               { runWire(t, infoMessage()) }
func TestWireSeriesResponse(t *testing.T)     { runWire(t, seriesResponseMessage()) }

func FuzzWireSeriesRequest(f *testing.F)      { fuzzWire(f, seriesRequestMessage()) }
func FuzzWireLabelNamesRequest(f *testing.F)  { fuzzWire(f, labelNamesRequestMessage()) }
func FuzzWireLabelValuesRequest(f *testing.F) { fuzzWire(f, labelValuesRequestMessage()) }
func FuzzWireLabelNames(f *testing.F)         { fuzzWire(f, labelNamesMessage()) }
func FuzzWireLabelValues(f *testing.F)        { fuzzWire(f, labelValuesMessage()) }
func FuzzWireInfo(f *testing.F)               { fuzzWire(f, infoMessage()) }
func FuzzWireSeriesResponse(f *testing.F)     { fuzzWire(f, seriesResponseMessage()) }

// Chunks that are sent on as they came lose nothing, not even hashes.
func TestWireSendsOnAsItCame(t *testing.T) {
	r := &wireRandom{Rand: rand.New(rand.NewPCG(4, 0))}
	for range 500 {
		series := make([]*storepb.Series, 2+r.IntN(3))
		for i := range series {
			series[i] = r.series()
			for _, c := range series[i].Chunks {
				if c.Raw != nil {
					c.Raw.Hash = r.Uint64()
				}
			}
		}
		in := storepb.NewBatchResponse(series)
		b, err := in.Marshal()
		testutil.Ok(t, err)
		f := encoded.NewFrame(nil)
		var d wire.Decoder
		_, err = d.Response(b, f)
		testutil.Ok(t, err)
		var e wire.Encoder
		for i := range f.Series {
			testutil.Ok(t, e.Add(&f.Series[i]))
		}
		var out storepb.SeriesResponse
		testutil.Ok(t, out.Unmarshal(e.Response()))
		requireEqual(t, in.GetBatch().Series, out.GetBatch().Series)
	}
}
