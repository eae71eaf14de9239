package wire_test

import (
	"bytes"
	"fmt"
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
	const perByte, constant, size = 128, 128 << 10, 16_000
	many := func(b []byte) []byte { return bytes.Repeat(b, max(1, size/len(b))) }
	inputs := map[string][]byte{}
	// Each field that may be there, in what may hold it, alone and with others.
	for num := protowire.Number(1); num <= 16; num++ {
		field := fmt.Sprint("field ", num)
		inputs[field+", empty"] = many(bytesField(num))
		inputs[field+", packed"] = bytesField(num, many([]byte{1}))
		inputs[field+", number"] = many(varint(num, 1))
		for sub := protowire.Number(1); sub <= 8; sub++ {
			inner := fmt.Sprint(field, " with ", sub)
			inputs[inner+", apart"] = many(bytesField(num, bytesField(sub)))
			inputs[inner+", in one"] = bytesField(num, many(bytesField(sub)))
			if num > 4 { // nothing is deeper than that
				continue
			}
			for leaf := protowire.Number(1); leaf <= 8; leaf++ {
				inputs[fmt.Sprint(inner, " with ", leaf, ", apart")] = many(bytesField(num, bytesField(sub, bytesField(leaf))))
				inputs[fmt.Sprint(inner, " with ", leaf, ", in one")] = bytesField(num, many(bytesField(sub, bytesField(leaf))))
			}
		}
	}
	unusual := join(unknown()[:3], bytesField(2, xorChunk(4, "")))
	inputs["aggregates, looked at twice"] = bytesField(4, many(bytesField(1, unusual)))
	inputs["aggregates, looked at twice, late"] = bytesField(4, bytesField(1, many(bytesField(2, bytesField(4))), unusual))
	var distinct []byte
	for i := range 4000 {
		distinct = append(distinct, bytesField(1, stringField(1, string([]byte{byte(i >> 8), byte(i)})))...)
	}
	inputs["labels not in canonical form"] = bytesField(1, distinct)
	inputs["results again and again"] = many(bytesField(4, bytes.Repeat(bytesField(1, bytesField(2)), 100)))
	r := rand.New(rand.NewSource(7))
	inputs["noise"] = make([]byte, size)
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
