package indexheader_test

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// TestHeaderAgainstPrometheus compares all that a header says with Prometheus'
// own reader of the same index, however the index was read from the bucket.
func TestHeaderAgainstPrometheus(t *testing.T) {
	t.Parallel()
	for name, idx := range map[string][]byte{
		"v1":        readV1(t),
		"v2":        writeIndex(t, lsets(1500)),
		"one":       writeIndex(t, lsets(1)),
		"no series": writeIndex(t, nil),
	} {
		for how, opts := range map[string]*indexheader.Options{
			"whole":           nil,
			"tail":            {SmallIndex: 1},
			"tail too short":  {SmallIndex: 1, Tail: 1},
			"tail in a table": {SmallIndex: 1, Tail: 300},
			"tail is all":     {SmallIndex: 1, Tail: 1 << 40},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				bkt, meta := put(t, idx)
				path := filepath.Join(t.TempDir(), "header")
				testutil.Ok(t, indexheader.Build(t.Context(), bkt, meta, path, opts))
				h, err := indexheader.Open(path)
				testutil.Ok(t, err)
				compare(t, h, idx)
				testutil.Ok(t, h.Close())
				testutil.Equals(t, 0, bkt.OpenBodies())
			})
		}
	}
}

func compare(t *testing.T, h *indexheader.Header, idx []byte) {
	t.Helper()
	ctx := t.Context()
	r, err := index.NewReader(sliceBytes(idx), index.DecodePostingsRaw)
	testutil.Ok(t, err)
	testutil.Equals(t, r.Version(), h.IndexVersion())
	testutil.Equals(t, int64(len(idx)), h.IndexSize())
	testutil.Equals(t, id, h.Block())

	names, err := r.LabelNames(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, len(names), h.Names())
	for i, name := range names {
		testutil.Equals(t, name, string(h.Name(i)))
		want, err := r.SortedLabelValues(ctx, name, nil)
		testutil.Ok(t, err)
		values, ok := h.Values(name)
		testutil.Assert(t, ok, "no values of %s", name)
		testutil.Equals(t, len(want), values.Len())
		entries := 0
		for i, value := range want {
			testutil.Equals(t, value, string(values.At(i)))
			at, ok := values.Search(value)
			testutil.Assert(t, ok && at == i, "%s at %d, not at %d", value, at, i)
			p, err := r.Postings(ctx, name, value)
			testutil.Ok(t, err)
			refs, err := index.ExpandPostings(p)
			testutil.Ok(t, err)
			testutil.Equals(t, refs, postings(idx, values.Postings(i)))
			entries += len(refs)
		}
		testutil.Equals(t, uint64(entries), values.Entries())
	}
	all, err := index.ExpandPostings(index.EmptyPostings())
	testutil.Ok(t, err)
	if p, err := r.Postings(ctx, "", ""); err == nil {
		all, err = index.ExpandPostings(p)
		testutil.Ok(t, err)
	}
	testutil.Equals(t, len(all), h.SeriesCount())
	if len(all) > 0 {
		testutil.Equals(t, all, postings(idx, h.All()))
	}
	compareSeries(t, h, r, idx, all)
}

// compareSeries decodes the labels of all series with the header's symbols.
func compareSeries(t *testing.T, h *indexheader.Header, r *index.Reader, idx []byte, all []storage.SeriesRef) {
	t.Helper()
	section := h.Series()
	for _, ref := range all {
		off := int64(uint64(ref) * h.SeriesUnit())
		testutil.Assert(t, off >= section.Off && off < section.Off+section.Size, "series at %d, outside of %v", off, section)
		want := labels.NewScratchBuilder(0)
		var metas []chunks.Meta
		testutil.Ok(t, r.Series(ref, &want, &metas))
		b := idx[off:]
		_, k := binary.Uvarint(b)
		b = b[k:]
		n, k := binary.Uvarint(b)
		b = b[k:]
		got := labels.NewScratchBuilder(0)
		for range n {
			var pair [2]string
			for i := range pair {
				sym, k := binary.Uvarint(b)
				b = b[k:]
				s, err := h.Symbol(uint32(sym))
				testutil.Ok(t, err)
				pair[i] = string(s)
			}
			got.Add(pair[0], pair[1])
		}
		testutil.Equals(t, want.Labels().String(), got.Labels().String())
	}
}

// postings decodes a list where the header says that it is.
func postings(idx []byte, l indexheader.List) []storage.SeriesRef {
	r := l.Range()
	b := idx[r.Off : r.Off+r.Size]
	if int64(binary.BigEndian.Uint32(b)) != r.Size-8 {
		return nil
	}
	var out []storage.SeriesRef
	for b := b[8 : len(b)-4]; len(b) > 0; b = b[4:] {
		out = append(out, storage.SeriesRef(binary.BigEndian.Uint32(b)))
	}
	return out
}

func TestHeaderLookups(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, writeIndex(t, lsets(100)))
	path := filepath.Join(t.TempDir(), "header")
	testutil.Ok(t, indexheader.Build(t.Context(), bkt, meta, path, nil))
	h, err := indexheader.Open(path)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, h.Close()) }()

	_, ok := h.Values("absent")
	testutil.Assert(t, !ok)
	_, ok = h.Values("")
	testutil.Assert(t, !ok, "the list of all series is no label")
	_, ok = h.Values("zzz")
	testutil.Assert(t, !ok)
	v, ok := h.Values("instance")
	testutil.Assert(t, ok)
	at, ok := v.Search("host-00005x")
	testutil.Assert(t, !ok && at == 6, "at %d", at)
	for prefix, want := range map[string][2]int{
		"":              {0, 100},
		"host-0000":     {0, 10},
		"host-00001":    {1, 2},
		"host-0009":     {90, 100},
		"host-":         {0, 100},
		"a":             {0, 0},
		"i":             {100, 100},
		"host-00001-no": {2, 2},
	} {
		lo, hi := v.Prefixed(prefix)
		testutil.Equals(t, want, [2]int{lo, hi}, prefix)
	}
	_, err = h.Symbol(1 << 30)
	testutil.NotOk(t, err)
	testutil.Assert(t, strings.Contains(err.Error(), "no symbol 1073741824"), "%v", err)
}

func TestSymbolsOfVersion1(t *testing.T) {
	t.Parallel()
	bkt, meta := put(t, readV1(t))
	path := filepath.Join(t.TempDir(), "header")
	testutil.Ok(t, indexheader.Build(t.Context(), bkt, meta, path, nil))
	h, err := indexheader.Open(path)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, h.Close()) }()
	for _, ref := range []uint32{0, 5, 12, 1 << 20, 1<<32 - 1} {
		_, err := h.Symbol(ref)
		testutil.NotOk(t, err)
	}
	s, err := h.Symbol(13)
	testutil.Ok(t, err)
	testutil.Assert(t, len(s) > 0)
}
