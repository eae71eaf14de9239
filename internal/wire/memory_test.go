package wire_test

import (
	"bytes"
	"math"
	"math/rand"
	"reflect"
	"runtime"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
)

// allocated returns the bytes that f allocates, other goroutines' included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decoders are all of them. The error does not matter here.
var decoders = map[string]func([]byte){
	"series request":       func(b []byte) { _, _, _ = wire.DecodeSeriesRequest(b) },
	"label names request":  func(b []byte) { _, _ = wire.DecodeLabelNamesRequest(b) },
	"label values request": func(b []byte) { _, _ = wire.DecodeLabelValuesRequest(b) },
	"strings":              func(b []byte) { _, _ = wire.DecodeStrings(b) },
	"info":                 func(b []byte) { _, _, _ = wire.DecodeInfo(b) },
	"response": func(b []byte) {
		var d wire.Decoder
		_, _ = d.Response(b, encoded.NewFrame(nil))
	},
}

// Decoders must not allocate more than 128 bytes for each byte of their input,
// and a constant. The inputs are what costs most for its size: the smallest of
// each thing, thousands of times.
func TestMemoryIsBounded(t *testing.T) {
	const perByte, constant = 128, 16 << 10
	many := func(b []byte) []byte { return bytes.Repeat(b, 40_000/len(b)) }
	inputs := map[string][]byte{}
	for num := protowire.Number(1); num <= 20; num++ {
		field := "field " + string('a'+rune(num))
		inputs[field+", empty"] = many(bytesField(num))
		inputs[field+", packed"] = bytesField(num, bytes.Repeat([]byte{1}, 40_000))
		inputs[field+", number"] = many(varint(num, 1))
		for sub := protowire.Number(1); sub <= 8; sub++ {
			inner := field + " of " + string('a'+rune(sub))
			inputs[inner+", each in its own"] = many(bytesField(num, bytesField(sub)))
			inputs[inner+", all in one"] = bytesField(num, many(bytesField(sub)))
			for leaf := protowire.Number(1); leaf <= 8; leaf++ {
				leafs := inner + " of " + string('a'+rune(leaf))
				inputs[leafs+", each in its own"] = many(bytesField(num, bytesField(sub, bytesField(leaf))))
				inputs[leafs+", all in one"] = bytesField(num, many(bytesField(sub, bytesField(leaf))))
			}
		}
	}
	unusual := append([]byte{0xf8, 0x7f, 0}, bytesField(2, xorChunk(4, ""))...) // an unknown field first
	inputs["aggregates, looked at twice"] = bytesField(4, many(bytesField(1, unusual)))
	inputs["aggregates, looked at twice, late"] = bytesField(4, many(bytesField(1, many(bytesField(2, bytesField(4))), unusual)))
	distinct := []byte{}
	for i := range 8000 {
		distinct = append(distinct, bytesField(1, stringField(1, string([]byte{byte(i >> 8), byte(i)})))...)
	}
	inputs["labels not in canonical form"] = bytesField(1, distinct)
	inputs["results again and again"] = many(bytesField(4, many(bytesField(1, bytesField(2)))[:400]))
	r := rand.New(rand.NewSource(7))
	inputs["noise"] = make([]byte, 40_000)
	r.Read(inputs["noise"])

	for name, decode := range decoders {
		t.Run(name, func(t *testing.T) {
			for what, b := range inputs {
				if used, most := allocated(func() { decode(b) }), uint64(perByte*len(b)+constant); used > most {
					t.Errorf("%s: %d bytes allocated for %d, %.0f each", what, used, len(b), float64(used)/float64(len(b)))
				}
			}
		})
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	frames := responses(t, kubeSeries(256, 2), 64)
	odd := bytesField(4, bytesField(1, label("b", "1"), label("a", "2"), bytesField(2, xorChunk(4, "x"))))
	frames = append(frames, odd) // not canonical, aggregates
	f := encoded.NewFrame(nil)
	var d wire.Decoder
	var e wire.Encoder
	var buf []byte
	testutil.Equals(t, 0.0, testing.AllocsPerRun(100, func() {
		for _, b := range frames {
			if _, err := d.Response(b, f); err != nil {
				t.Fatal(err)
			}
			e.Reset(buf)
			for i := range f.Series {
				if err := e.Add(&f.Series[i]); err != nil {
					t.Fatal(err)
				}
			}
			e.Response()
			buf = e.Buffer()
			d.Reset()
		}
	}))
}

// f.Size counts structures by these numbers.
func TestSizesOfStructures(t *testing.T) {
	if math.MaxInt != math.MaxInt64 {
		return // pointers and lengths are smaller elsewhere: the numbers are bounds
	}
	testutil.Equals(t, uintptr(wire.SizeofSeries), reflect.TypeFor[encoded.Series]().Size())
	testutil.Equals(t, uintptr(wire.SizeofChunk), reflect.TypeFor[encoded.Chunk]().Size())
	testutil.Equals(t, uintptr(wire.SizeofAggregates), reflect.TypeFor[encoded.Aggregates]().Size())
}
