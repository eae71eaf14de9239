package indexheader_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bkt, meta := put(b, writeIndex(b, lsets(n)))
			path := filepath.Join(b.TempDir(), "header")
			b.ReportAllocs()
			for b.Loop() {
				testutil.Ok(b, indexheader.Build(b.Context(), bkt, meta, path, nil))
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bkt, meta := put(b, writeIndex(b, lsets(n)))
			path := filepath.Join(b.TempDir(), "header")
			testutil.Ok(b, indexheader.Build(b.Context(), bkt, meta, path, nil))
			b.ReportAllocs()
			for b.Loop() {
				h, err := indexheader.Open(path)
				testutil.Ok(b, err)
				testutil.Ok(b, h.Close())
			}
		})
	}
}

func BenchmarkSymbol(b *testing.B) {
	bkt, meta := put(b, writeIndex(b, lsets(10_000)))
	path := filepath.Join(b.TempDir(), "header")
	testutil.Ok(b, indexheader.Build(b.Context(), bkt, meta, path, nil))
	h, err := indexheader.Open(path)
	testutil.Ok(b, err)
	defer func() { testutil.Ok(b, h.Close()) }()
	b.ReportAllocs()
	for ref := uint32(0); b.Loop(); ref = (ref + 7919) % 10_000 {
		if _, err := h.Symbol(ref); err != nil {
			b.Fatal(err)
		}
	}
}
