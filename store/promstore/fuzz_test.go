package promstore_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// recorded returns the answers recorded from real servers, by file name.
func recorded(tb testing.TB, pattern string) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "recorded", pattern))
	testutil.Ok(tb, err)
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		testutil.Ok(tb, err)
		out[filepath.Base(f)] = b
	}
	testutil.Equals(tb, 2, len(out))
	return out
}

// checker is a writer that checks what every answer must be.
type checker struct {
	tb   testing.TB
	last []byte
}

func (c *checker) Send(*store.Series) error { panic("not a frame") }
func (*checker) Warn(error) error           { return nil }

func (c *checker) SendFrame(f *encoded.Frame) error {
	for i := range f.Series {
		s := &f.Series[i]
		testutil.Ok(c.tb, encoded.CheckLabels(s.Labels))
		testutil.Assert(c.tb, encoded.CompareLabels(c.last, s.Labels) <= 0)
		c.last = append(c.last[:0], s.Labels...)
		testutil.Assert(c.tb, len(s.Chunks) > 0)
		for j := range s.Chunks {
			testutil.Assert(c.tb, len(s.Chunks[j].Raw.Bytes) >= 2)
		}
	}
	return nil
}

// fuzzSeries runs Series over an answer and bounds what it allocates.
func fuzzSeries(t *testing.T, s *promstore.Store, size int) {
	t.Helper()
	var err error
	got := allocates(func() {
		err = s.Series(t.Context(), &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}, &checker{tb: t})
	})
	if bound := uint64(2<<20 + 128*size); got > bound {
		t.Errorf("%d bytes allocated for %d, %.0f for each, error %v", got, size, float64(got)/float64(size), err)
	}
}

// message returns a field of bytes.
func message(num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

// TestAllocationIsBounded tries what takes the most memory for its size.
func TestAllocationIsBounded(t *testing.T) {
	const n = 30_000
	chunk := message(2, []byte("\x18\x01\x22\x04\x00\x01\x00\x00"))
	var samples, histograms []byte
	for i := range uint64(n) {
		samples = append(samples, message(2, protowire.AppendVarint([]byte{0x10}, i))...)
		histograms = append(histograms, message(4, protowire.AppendVarint([]byte{0x08, 0, 0x78}, i))...)
	}
	for name, tc := range map[string]struct {
		contentType string
		body        []byte
	}{
		"streamed series of one chunk":          {streamedType, bytes.Repeat(message(1, chunk), n)},
		"streamed chunks of one series":         {streamedType, message(1, bytes.Repeat(chunk, n))},
		"streamed labels out of order":          {streamedType, message(1, append(bytes.Repeat(message(1, []byte("\x12\x01v\x0a\x01n")), n), chunk...))},
		"sampled series of one sample":          {sampledType, message(1, bytes.Repeat(message(1, message(2, nil)), n))},
		"sampled series of one histogram":       {sampledType, message(1, bytes.Repeat(message(1, message(4, []byte{0x08, 0})), n))},
		"sampled histograms of one series":      {sampledType, message(1, message(1, histograms))},
		"sampled samples of one series":         {sampledType, message(1, message(1, samples))},
		"sampled histogram of many empty spans": {sampledType, message(1, message(1, message(4, append(bytes.Repeat(message(11, nil), n), 0x08, 0))))},
		"sampled histogram of many buckets": {sampledType, message(1, message(1, message(4,
			append(message(11, protowire.AppendVarint([]byte{0x08, 0, 0x10}, n)), append(message(12, make([]byte, n)), 0x08, 0)...))))},
	} {
		size := len(tc.body)
		if tc.contentType == streamedType {
			tc.body = appendRawFrame(nil, tc.body)
		} else {
			tc.body = snappy.Encode(nil, tc.body)
		}
		t.Run(name, func(t *testing.T) {
			s := synced(t, answers{contentType: tc.contentType, body: tc.body}, promstore.Options{AllowNoExternalLabels: true})
			fuzzSeries(t, s, size)
		})
	}
	t.Run("series of one label", func(t *testing.T) {
		body := []byte(`{"status":"success","data":[{"a":"b"}` + strings.Repeat(`,{"a":"b"}`, n) + `]}`)
		p := newScripted()
		p.set("series", "application/json", string(body))
		s := p.store(t, "http://prometheus", promstore.Options{})
		testutil.Ok(t, s.Sync(t.Context()))
		allocated := allocates(func() {
			testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Matchers: matchers(t, "up"), MaxTime: math.MaxInt64, SkipChunks: true}, &frameCounter{}))
		})
		testutil.Assert(t, allocated < uint64(2<<20+128*len(body)), "%d bytes allocated for %d", allocated, len(body))
	})
}

// allocates returns the bytes that f allocates, if nothing else runs.
func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzStreamed(f *testing.F) {
	for _, b := range recorded(f, "streamed-*") {
		f.Add(b)
		f.Add(b[:len(b)-5])
	}
	f.Add(streamedBody(3, 2))
	f.Add(rawSeries("\x0a\x01b\x12\x012", "\x0a\x01a\x12\x011"))
	f.Add(append(streamedSeries(xorChunk(), "a", "b"), "expanding series: query timed out\n"...))
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Add([]byte{0x80, 0x80, 0x40, 0, 0, 0, 0, 1}) // a frame of 1 MiB that does not come
	answer := &answers{contentType: streamedType}
	s := synced(f, answer, promstore.Options{AllowNoExternalLabels: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		answer.body = body
		fuzzSeries(t, s, len(body))
	})
}

// FuzzFrame fuzzes what is in a frame, with the right length and checksum.
func FuzzFrame(f *testing.F) {
	f.Add(streamedSeries(xorChunk(), "__name__", "up", "job", "a")[5:])
	f.Add(rawSeries("\x0a\x01a\x12\x011", "\x0a\x02aa", "")[5:])
	for _, b := range recorded(f, "streamed-*") {
		f.Add(b[6 : 6+int(b[0]&0x7f)+int(b[1])<<7])
	}
	answer := &answers{contentType: streamedType}
	s := synced(f, answer, promstore.Options{AllowNoExternalLabels: true})
	f.Fuzz(func(t *testing.T, frame []byte) {
		answer.body = appendRawFrame(nil, frame)
		fuzzSeries(t, s, len(frame))
	})
}

// FuzzSampled fuzzes what is in a sampled answer, compressed as it should be.
func FuzzSampled(f *testing.F) {
	for _, b := range recorded(f, "sampled-*") {
		body, err := snappy.Decode(nil, b)
		testutil.Ok(f, err)
		f.Add(body)
	}
	h := prompb.FromIntHistogram(1, tsdbutil.GenerateTestHistogram(3))
	fh := prompb.FromFloatHistogram(2, tsdbutil.GenerateTestGaugeFloatHistogram(3))
	ch := prompb.FromIntHistogram(3, tsdbutil.GenerateTestCustomBucketsHistogram(3))
	ch.CustomValues = []float64{1, 2, 3, 4}
	for _, ts := range []*prompb.TimeSeries{
		{Labels: seriesLabels(1), Samples: []prompb.Sample{{Timestamp: 1, Value: 2}, {Timestamp: 4, Value: 2}}, Histograms: []prompb.Histogram{h, fh, ch}},
		{Labels: seriesLabels(1), Histograms: []prompb.Histogram{h, {Timestamp: 9}}},
	} {
		body, err := snappy.Decode(nil, sampledSeries(ts))
		testutil.Ok(f, err)
		f.Add(body)
	}
	answer := &answers{contentType: sampledType}
	s := synced(f, answer, promstore.Options{AllowNoExternalLabels: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		answer.body = snappy.Encode(nil, body)
		fuzzSeries(t, s, len(body))
	})
}

// FuzzSnappy fuzzes the compression around it.
func FuzzSnappy(f *testing.F) {
	for _, b := range recorded(f, "sampled-*") {
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	answer := &answers{contentType: sampledType}
	s := synced(f, answer, promstore.Options{AllowNoExternalLabels: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		answer.body = body
		size := len(body)
		if n, err := snappy.DecodedLen(body); err == nil {
			size += min(n, 32*len(body))
		}
		fuzzSeries(t, s, size)
	})
}

// TestRecorded compares what real servers send as chunks with what they send as
// samples.
func TestRecorded(t *testing.T) {
	t.Parallel()
	streamed, sampled := recorded(t, "streamed-*"), recorded(t, "sampled-*")
	for name, body := range streamed {
		req := &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
		s := synced(t, answers{contentType: streamedType, body: body}, promstore.Options{AllowNoExternalLabels: true})
		ofChunks := collect(t, s, req)
		s = synced(t, answers{contentType: sampledType, body: sampled[strings.Replace(name, "streamed", "sampled", 1)]}, promstore.Options{AllowNoExternalLabels: true})
		ofSamples := collect(t, s, req)

		mint, maxt := int64(math.MaxInt64), int64(0)
		for _, se := range ofSamples {
			for _, c := range se.Chunks {
				mint, maxt = min(mint, c.MinTime), max(maxt, c.MaxTime)
			}
		}
		want, got := sent(t, ofChunks, mint, maxt), sent(t, ofSamples, mint, maxt)
		testutil.Assert(t, len(want) > 8, "%d series", len(want))
		testutil.Equals(t, want, got, name)
		for _, se := range ofChunks {
			testutil.Equals(t, "c1", se.Labels.Get("cluster"))
			testutil.Assert(t, se.Labels.Get(labels.MetricName) != "")
		}
	}
}
