package wire_test

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// errorsOf are the decoders, for their errors.
var errorsOf = map[string]func([]byte) error{
	"series request":       func(b []byte) error { _, _, err := wire.DecodeSeriesRequest(b); return err },
	"label names request":  func(b []byte) error { _, err := wire.DecodeLabelNamesRequest(b); return err },
	"label values request": func(b []byte) error { _, err := wire.DecodeLabelValuesRequest(b); return err },
	"strings":              func(b []byte) error { _, err := wire.DecodeStrings(b); return err },
	"info":                 func(b []byte) error { _, _, err := wire.DecodeInfo(b); return err },
	"response": func(b []byte) error {
		var d wire.Decoder
		_, err := d.Response(b, encoded.NewFrame(nil))
		return err
	},
}

// Damage that makes a message of any kind unreadable.
var damaged = map[string][]byte{
	"tag cut":                   {0x80},
	"tag of eleven bytes":       bytes.Repeat([]byte{0x80}, 11),
	"field 0":                   {0x02, 0x00},
	"field above all":           {0x82, 0x80, 0x80, 0x80, 0x80, 0x02, 0x00},
	"wire type 6":               {0x0e, 0x00},
	"wire type 7":               {0x0f, 0x00},
	"end of no group":           {0x0c},
	"group that does not end":   protowire.AppendTag(nil, 900, protowire.StartGroupType),
	"group that ends as other":  protowire.AppendTag(protowire.AppendTag(nil, 900, protowire.StartGroupType), 901, protowire.EndGroupType),
	"groups without an end":     bytes.Repeat(protowire.AppendTag(nil, 900, protowire.StartGroupType), 20_000),
	"varint cut":                {0xa0, 0x38, 0x80},
	"varint of eleven bytes":    append([]byte{0xa0, 0x38}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	"varint above 64 bits":      append([]byte{0xa0, 0x38}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
	"length missing":            {0xa2, 0x38},
	"length cut":                {0xa2, 0x38, 0x80},
	"length beyond the end":     {0xa2, 0x38, 0x05, 'x'},
	"length of all memory":      append([]byte{0xa2, 0x38}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	"length above what int has": append([]byte{0xa2, 0x38}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
	"fixed32 cut":               {0xa5, 0x38, 1, 2, 3},
	"fixed64 cut":               {0xa1, 0x38, 1, 2, 3, 4, 5, 6, 7},
}

func requireMalformed(t *testing.T, err error) {
	t.Helper()
	testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
}

func TestDamagedMessages(t *testing.T) {
	for what, b := range damaged {
		t.Run(what, func(t *testing.T) {
			for name, decode := range errorsOf {
				t.Log(name)
				requireMalformed(t, decode(b))
				requireMalformed(t, decode(append(unknown(), b...)))
			}
			// In every message inside another.
			matcher, hints := bytesField(3, b), bytesField(12, b)
			for _, b := range [][]byte{
				matcher, bytesField(5, []byte{0x80}), bytesField(9, b), hints, bytesField(13, b),
				bytesField(12, bytesField(2, b)), bytesField(12, bytesField(4, b)), bytesField(12, bytesField(5, b)),
			} {
				requireMalformed(t, errorsOf["series request"](b))
			}
			requireMalformed(t, errorsOf["label names request"](bytesField(5, b)))
			requireMalformed(t, errorsOf["label names request"](bytesField(6, b)))
			requireMalformed(t, errorsOf["label values request"](bytesField(6, b)))
			requireMalformed(t, errorsOf["label values request"](bytesField(7, b)))
			requireMalformed(t, errorsOf["strings"](bytesField(3, b)))
			for num := protowire.Number(3); num <= 9; num++ {
				requireMalformed(t, errorsOf["info"](bytesField(num, b)))
			}
			for _, b := range [][]byte{
				bytesField(1, b), bytesField(1, bytesField(1, b)), bytesField(3, bytesField(6, b)),
				bytesField(3, bytesField(6, bytesField(1, b))), bytesField(3, bytesField(6, bytesField(1, bytesField(1, b)))),
			} {
				requireMalformed(t, errorsOf["info"](b))
			}
			lset := label("a", "1")
			for _, series := range [][]byte{
				b, bytesField(1, b), join(lset, b), join(lset, bytesField(1, b)), join(lset, bytesField(2, b)),
				join(lset, bytesField(2, bytesField(3, b))), join(lset, bytesField(2, varint(1, 5), bytesField(8, b))),
			} {
				requireMalformed(t, errorsOf["response"](bytesField(1, series)))
				requireMalformed(t, errorsOf["response"](bytesField(4, bytesField(1, lset), bytesField(1, series))))
				requireMalformed(t, errorsOf["response"](join(bytesField(1, series), stringField(2, "replaced"))))
			}
			requireMalformed(t, errorsOf["response"](bytesField(3, b)))
			requireMalformed(t, errorsOf["response"](bytesField(4, b)))
			requireMalformed(t, errorsOf["response"](bytesField(4, bytesField(1, lset), b)))
		})
	}
}

// A known field of a wire type that is not its own: Thanos refuses it too.
func TestWrongWireTypes(t *testing.T) {
	fixed := func(num protowire.Number) []byte {
		return append(protowire.AppendTag(nil, num, protowire.Fixed32Type), 0, 0, 0, 0)
	}
	fields := map[string]struct {
		numbers, messages []protowire.Number
		in                func([]byte) []byte
	}{
		"series request":       {numbers: []protowire.Number{1, 2, 4, 6, 7, 8, 10, 11, 15, 16}, messages: []protowire.Number{3, 9, 12, 13, 14}},
		"label names request":  {numbers: []protowire.Number{1, 2, 3, 4, 8}, messages: []protowire.Number{5, 6, 7}},
		"label values request": {numbers: []protowire.Number{2, 3, 4, 5, 9}, messages: []protowire.Number{1, 6, 7, 8}},
		"strings":              {messages: []protowire.Number{1, 2, 3}},
		"info":                 {messages: []protowire.Number{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"response":             {messages: []protowire.Number{1, 2, 3, 4}},
	}
	for name, f := range fields {
		for _, num := range f.numbers {
			requireMalformed(t, errorsOf[name](bytesField(num)))
			requireMalformed(t, errorsOf[name](fixed(num)))
		}
		for _, num := range f.messages {
			requireMalformed(t, errorsOf[name](varint(num, 0)))
			requireMalformed(t, errorsOf[name](fixed(num)))
		}
	}
	requireMalformed(t, errorsOf["series request"](fixed(5)))
	for _, series := range [][]byte{
		varint(1, 0), varint(2, 0), fixed(1), fixed(2), bytesField(1, varint(1, 0)), bytesField(1, varint(2, 0)),
		bytesField(2, bytesField(1)), bytesField(2, bytesField(2)), bytesField(2, varint(3, 0)), bytesField(2, varint(8, 0)),
		bytesField(2, bytesField(3, bytesField(1))), bytesField(2, bytesField(3, varint(2, 0))), bytesField(2, bytesField(3, bytesField(3))),
	} {
		requireMalformed(t, errorsOf["response"](bytesField(1, series)))
		requireMalformed(t, errorsOf["response"](bytesField(4, bytesField(1, series))))
	}
	requireMalformed(t, errorsOf["response"](bytesField(4, varint(1, 0))))
	for _, b := range [][]byte{
		bytesField(3, bytesField(1)), bytesField(3, varint(6, 0)), bytesField(3, bytesField(6, varint(1, 0))),
		bytesField(7, bytesField(1)), bytesField(1, varint(1, 0)),
	} {
		requireMalformed(t, errorsOf["info"](b))
	}
}

// Whatever is cut off or changed, a decoder decodes, or says that it cannot.
func TestMutatedMessages(t *testing.T) {
	r := random{rand.New(rand.NewSource(9))}
	req, batch := r.seriesRequest()
	messages := [][]byte{
		wire.AppendSeriesRequest(nil, req, batch), wire.AppendInfo(nil, r.info()), encode(t, plainSeries()),
		encode(t, r.series(), r.series()), wire.AppendStrings(nil, &wire.Strings{Values: r.strings(), Hints: &store.Any{TypeURL: "x"}}),
	}
	known := []error{store.ErrMalformed, store.ErrInvalidRequest, store.ErrEncoding}
	check := func(b []byte) {
		for name, decode := range errorsOf {
			err := decode(b)
			ok := err == nil
			for _, k := range known {
				ok = ok || errors.Is(err, k)
			}
			testutil.Assert(t, ok, "%s: %v", name, err)
		}
	}
	for _, m := range messages {
		for n := range min(len(m), 300) {
			check(m[:n])
		}
		for range 500 {
			b := bytes.Clone(m)
			for range 1 + r.Intn(3) {
				b[r.Intn(len(b))] = byte(r.Intn(256))
			}
			check(b)
		}
	}
}

// Labels above this size make labels.Labels panic.
func TestHugeLabels(t *testing.T) {
	const most = 1<<24 - 1
	for _, n := range []int{most, most + 1} {
		huge := string(make([]byte, n))
		for _, l := range [][]byte{label("a", huge), label(huge, "a")} {
			_, _, err := decode(t, bytesField(1, l))
			infoErr := errorsOf["info"](bytesField(1, l))
			if n > most {
				requireMalformed(t, err)
				requireMalformed(t, infoErr)
				continue
			}
			testutil.Ok(t, err)
			testutil.Ok(t, infoErr)
		}
	}
}

func TestLargeRegexps(t *testing.T) {
	regex := func(expr string) []byte {
		return bytesField(3, varint(1, 2), stringField(2, "a"), stringField(3, expr))
	}
	alternatives := []byte{}
	for i := range 10_000 {
		alternatives = append(alternatives, "api-server-7c9f6b7d5-"+string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)})+"|"...)
	}
	testutil.Ok(t, errorsOf["series request"](regex(string(alternatives))))
	testutil.Ok(t, errorsOf["series request"](bytes.Repeat(regex("a.+|b{3}"), 20)))
	for name, b := range map[string][]byte{
		"repetitions":    bytes.Repeat(regex("x{1000}"), 1000),
		"nested":         regex(string(bytes.Repeat([]byte("((x{10}){10}y){9}"), 1200))),
		"classes":        bytes.Repeat(regex(`\pL{500}`), 3),
		"many small":     bytes.Repeat(regex("."), 20_000),
		"one and no one": append(regex("x{1000}{1000}"), bytes.Repeat(regex("x{1000}"), 1000)...),
	} {
		var err error
		used := allocated(func() { err = errorsOf["series request"](b) })
		testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%s: %v", name, err)
		testutil.Assert(t, used < 128<<20, "%s: %d bytes", name, used)
	}
}
