package wire_test

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Fields written one by one, for messages that no encoder writes.

func join(fields ...[]byte) []byte { return slices.Concat(fields...) }

func varint(num protowire.Number, x uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), x)
}

func bytesField(num protowire.Number, fields ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), join(fields...))
}

func stringField(num protowire.Number, s string) []byte { return bytesField(num, []byte(s)) }

func label(name, value string) []byte {
	return bytesField(1, stringField(1, name), stringField(2, value))
}

func xorChunk(num protowire.Number, data string) []byte { return bytesField(num, stringField(2, data)) }

// unknown are fields that no message has, one of each wire type.
func unknown() []byte {
	b := varint(900, 1)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 901, protowire.Fixed32Type), 1)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 902, protowire.Fixed64Type), 1)
	b = protowire.AppendString(protowire.AppendTag(b, 903, protowire.BytesType), "x")
	b = protowire.AppendTag(b, 904, protowire.StartGroupType)
	b = append(b, varint(1, 7)...)
	return protowire.AppendTag(b, 904, protowire.EndGroupType)
}

// Random values of everything that can be sent.

type random struct{ *rand.Rand }

func (r random) bool() bool { return r.Intn(2) == 0 }

func (r random) time() int64 {
	return []int64{0, 1, -1, math.MinInt64, math.MaxInt64, 1_700_000_000_000 + r.Int63n(1e9), r.Int63() - r.Int63()}[r.Intn(7)]
}

func (r random) millis() time.Duration { return time.Duration(r.Int63n(1e9)) * time.Millisecond }

func (r random) string() string {
	return []string{"", "a", "__name__", "härte", "\xff\x00", strings.Repeat("x", r.Intn(400))}[r.Intn(6)]
}

func (r random) strings() (out []string) {
	for range r.Intn(4) {
		out = append(out, r.string())
	}
	return out
}

func (r random) any() *store.Any {
	if r.bool() {
		return nil
	}
	a := &store.Any{TypeURL: r.string()}
	if s := r.string(); s != "" {
		a.Value = []byte(s)
	}
	return a
}

func (r random) matchers() (out []*labels.Matcher) {
	for range r.Intn(4) {
		typ := labels.MatchType(r.Intn(4))
		value := r.string()
		if typ == labels.MatchRegexp || typ == labels.MatchNotRegexp {
			value = []string{"", "a|b", ".*", "x.+[0-9]"}[r.Intn(4)]
		}
		out = append(out, labels.MustNewMatcher(typ, r.string(), value))
	}
	return out
}

func (r random) strategy() store.PartialResponseStrategy {
	return store.PartialResponseStrategy(r.Intn(2))
}

func (r random) seriesRequest() (*store.SeriesRequest, int) {
	req := &store.SeriesRequest{
		MinTime: r.time(), MaxTime: r.time(), Matchers: r.matchers(), MaxResolution: r.millis(),
		Aggregates: store.Aggregates(r.Intn(32)), Strategy: r.strategy(), SkipChunks: r.bool(),
		WithoutReplicaLabels: r.strings(), Limit: r.Intn(3), StoreHints: r.any(),
	}
	if r.bool() {
		req.Shard = &store.Shard{Index: r.time(), Total: r.time(), By: r.bool(), Labels: r.strings()}
	}
	if r.bool() {
		req.Hints = &store.QueryHints{
			Step: r.millis(), Func: r.string(), Grouping: r.strings(), By: r.bool(), Range: r.millis(),
			ProjectionLabels: r.strings(), ProjectionInclude: r.bool(), SeriesHashLabel: r.string(),
		}
	}
	return req, r.Intn(3) * 64
}

func (r random) labels() labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for range r.Intn(6) {
		b.Set(fmt.Sprintf("%c%s", 'a'+r.Intn(26), r.string()), "v"+r.string())
	}
	return b.Labels()
}

func (r random) info() *store.Info {
	i := &store.Info{
		Component: r.string(), MinTime: r.time(), MaxTime: r.time(), SupportsSharding: r.bool(), SupportsWithoutReplicaLabels: r.bool(),
	}
	for range r.Intn(3) {
		i.LabelSets = append(i.LabelSets, labels.FromStrings("a", r.string()+"x"))
		i.TSDBs = append(i.TSDBs, store.TSDBInfo{Labels: r.labels(), MinTime: r.time(), MaxTime: r.time()})
	}
	return i
}

func (r random) data() store.ChunkData {
	d := store.ChunkData{Encoding: chunkenc.Encoding(r.Intn(4)), Bytes: []byte{}}
	if d.Encoding == chunkenc.EncNone {
		return store.ChunkData{}
	}
	if r.Intn(8) > 0 {
		d.Bytes = make([]byte, r.Intn(700))
		r.Read(d.Bytes)
	}
	return d
}

func (r random) chunk() store.Chunk {
	c := store.Chunk{MinTime: r.time(), MaxTime: r.time(), Raw: r.data()}
	if r.bool() {
		c.Aggregated = &store.AggregatedChunk{Count: r.data(), Sum: r.data(), Min: r.data(), Max: r.data(), Counter: r.data()}
		if c.Aggregated.Count.IsZero() { // one must be there to show that it is aggregated
			c.Aggregated.Count = data(chunkenc.EncXOR, "c")
		}
	}
	return c
}

func (r random) series() *store.Series {
	s := &store.Series{Labels: r.labels()}
	for range r.Intn(4) {
		s.Chunks = append(s.Chunks, r.chunk())
	}
	return s
}

func view(s *store.Series) *encoded.Series {
	v, _ := wire.View(nil, s)
	return &v
}
