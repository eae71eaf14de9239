package interop

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gogo/protobuf/types"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
)

// wireRandom makes Thanos' messages. Unless odd is set, they are such that we
// would write them with the same bytes.
type wireRandom struct {
	*rand.Rand
	odd bool
}

func (r *wireRandom) bool() bool { return r.IntN(2) == 0 }

func (r *wireRandom) int64() int64 {
	return []int64{0, 1, -1, math.MinInt64, math.MaxInt64, 1_700_000_000_000 + r.Int64N(1e9), int64(r.Uint64() >> r.IntN(64))}[r.IntN(7)]
}

func (r *wireRandom) millis() int64 {
	if r.odd {
		return r.int64()
	}
	return r.Int64N(1e9)
}

func (r *wireRandom) count() int64 {
	if r.odd {
		return r.int64()
	}
	return r.Int64N(3) * 64
}

func (r *wireRandom) string() string {
	return []string{"", "a", "b", "__name__", "härte", "\xff\x00", strings.Repeat("x", r.IntN(300))}[r.IntN(7)]
}

func (r *wireRandom) strings() (out []string) {
	for range r.IntN(4) {
		out = append(out, r.string())
	}
	return out
}

func (r *wireRandom) any() *types.Any {
	if r.bool() {
		return nil
	}
	return &types.Any{TypeUrl: r.string(), Value: []byte(r.string())}
}

func (r *wireRandom) matchers() (out []storepb.LabelMatcher) {
	for range r.IntN(4) {
		m := storepb.LabelMatcher{Type: storepb.LabelMatcher_Type(r.IntN(4)), Name: r.string(), Value: r.string()}
		if r.odd && r.IntN(20) == 0 {
			m.Type = storepb.LabelMatcher_Type(r.int64())
		}
		if m.Type == storepb.LabelMatcher_RE || m.Type == storepb.LabelMatcher_NRE {
			m.Value = []string{"", "a|b", ".*", "x.+[0-9]{3}"}[r.IntN(4)]
			if r.odd && r.IntN(20) == 0 {
				m.Value = "("
			}
		}
		out = append(out, m)
	}
	return out
}

// strategy is how a request says what becomes of partial answers. We never
// write the deprecated way.
func (r *wireRandom) strategy() (disabled bool, s storepb.PartialResponseStrategy) {
	if r.odd {
		return r.bool(), storepb.PartialResponseStrategy(r.IntN(4))
	}
	return false, storepb.PartialResponseStrategy(r.IntN(2))
}

func (r *wireRandom) seriesRequest() *storepb.SeriesRequest {
	m := &storepb.SeriesRequest{
		MinTime: r.int64(), MaxTime: r.int64(), Matchers: r.matchers(), MaxResolutionWindow: r.millis(), SkipChunks: r.bool(),
		Hints: r.any(), WithoutReplicaLabels: r.strings(), Limit: r.count(), ResponseBatchSize: r.count(),
	}
	m.PartialResponseDisabled, m.PartialResponseStrategy = r.strategy()
	for a := storepb.Aggr_COUNT; a <= storepb.Aggr_COUNTER; a++ {
		if r.bool() {
			m.Aggregates = append(m.Aggregates, a)
		}
	}
	if r.odd {
		m.Step, m.Range = r.int64(), r.int64()
		m.Aggregates = append(m.Aggregates, storepb.Aggr(r.IntN(9)), storepb.Aggr_RAW)
	}
	if r.bool() {
		m.ShardInfo = &storepb.ShardInfo{ShardIndex: r.int64(), TotalShards: r.int64(), By: r.bool(), Labels: r.strings()}
	}
	if r.bool() {
		h := &storepb.QueryHints{
			StepMillis: r.millis(), Func: &storepb.Func{Name: r.string()}, Grouping: &storepb.Grouping{By: r.bool(), Labels: r.strings()},
			Range: &storepb.Range{Millis: r.millis()}, ProjectionLabels: r.strings(), ProjectionInclude: r.bool(),
		}
		if r.odd && r.bool() {
			h.Func, h.Grouping, h.Range = nil, nil, nil
		}
		m.QueryHints = h
	}
	return m
}

func (r *wireRandom) labelNamesRequest() *storepb.LabelNamesRequest {
	m := &storepb.LabelNamesRequest{
		Start: r.int64(), End: r.int64(), Matchers: r.matchers(), Hints: r.any(), WithoutReplicaLabels: r.strings(), Limit: r.count(),
	}
	m.PartialResponseDisabled, m.PartialResponseStrategy = r.strategy()
	return m
}

func (r *wireRandom) labelValuesRequest() *storepb.LabelValuesRequest {
	m := &storepb.LabelValuesRequest{
		Label: r.string(), Start: r.int64(), End: r.int64(), Matchers: r.matchers(), Hints: r.any(),
		WithoutReplicaLabels: r.strings(), Limit: r.count(),
	}
	m.PartialResponseDisabled, m.PartialResponseStrategy = r.strategy()
	return m
}

// labels are in order, with distinct names and without empty values, which we
// write and Thanos does not; unless odd.
func (r *wireRandom) labels() (out []labelpb.ZLabel) {
	for i := range r.IntN(6) {
		l := labelpb.ZLabel{Name: fmt.Sprintf("%c%s", 'a'+i, r.string()), Value: r.string()}
		if l.Value == "" && !r.odd {
			l.Value = "v"
		}
		out = append(out, l)
	}
	if r.odd && len(out) > 1 && r.IntN(4) == 0 {
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	if r.odd && len(out) > 1 && r.IntN(8) == 0 {
		out[0].Name = out[1].Name
	}
	return out
}

func (r *wireRandom) info() *infopb.InfoResponse {
	m := &infopb.InfoResponse{ComponentType: r.string(), Store: &infopb.StoreInfo{
		MinTime: r.int64(), MaxTime: r.int64(), SupportsSharding: r.bool(), SupportsWithoutReplicaLabels: r.bool(),
	}}
	if !r.odd && m.Store.MinTime == 0 {
		m.Store.MinTime = 1
	}
	for range r.IntN(3) {
		m.LabelSets = append(m.LabelSets, labelpb.ZLabelSet{Labels: append(r.labels(), labelpb.ZLabel{Name: "z", Value: "1"})})
	}
	for range r.IntN(3) {
		m.Store.TsdbInfos = append(m.Store.TsdbInfos, infopb.TSDBInfo{Labels: labelpb.ZLabelSet{Labels: r.labels()}, MinTime: r.int64(), MaxTime: r.int64()})
	}
	if !r.odd {
		return m
	}
	if r.bool() {
		m.LabelSets = append(m.LabelSets, labelpb.ZLabelSet{})
	}
	if r.bool() {
		m.Store = nil
	}
	if r.bool() {
		m.Rules, m.MetricMetadata, m.Targets = &infopb.RulesInfo{}, &infopb.MetricMetadataInfo{}, &infopb.TargetsInfo{}
	}
	if r.bool() {
		m.Exemplars = &infopb.ExemplarsInfo{MinTime: r.int64(), MaxTime: r.int64()}
		m.Query, m.Status = &infopb.QueryAPIInfo{}, &infopb.StatusInfo{}
	}
	return m
}

func (r *wireRandom) chunk() *storepb.Chunk {
	if r.bool() {
		return nil
	}
	c := &storepb.Chunk{Type: storepb.Chunk_Encoding(r.IntN(3)), Data: make([]byte, r.IntN(300))}
	for i := range c.Data {
		c.Data[i] = byte(r.Uint32())
	}
	if r.odd && r.bool() {
		c.Hash = r.Uint64()
	}
	if r.odd && r.IntN(50) == 0 {
		c.Type = storepb.Chunk_Encoding(r.int64())
	}
	return c
}

func (r *wireRandom) series() *storepb.Series {
	s := &storepb.Series{Labels: r.labels()}
	for range r.IntN(4) {
		s.Chunks = append(s.Chunks, storepb.AggrChunk{
			MinTime: r.int64(), MaxTime: r.int64(), Raw: r.chunk(), Count: r.chunk(), Sum: r.chunk(), Min: r.chunk(), Max: r.chunk(), Counter: r.chunk(),
		})
	}
	return s
}

func (r *wireRandom) response() *storepb.SeriesResponse {
	switch r.IntN(6) {
	case 0:
		return storepb.NewWarnSeriesResponse(fmt.Errorf("%s", r.string()))
	case 1:
		return storepb.NewHintsSeriesResponse(&types.Any{TypeUrl: r.string(), Value: []byte(r.string())})
	case 2:
		return storepb.NewSeriesResponse(r.series())
	}
	series := make([]*storepb.Series, 2+r.IntN(3)) // one would be sent as a series
	for i := range series {
		series[i] = r.series()
	}
	return storepb.NewBatchResponse(series)
}

// change makes of b what a careless, a newer or a malicious peer might send.
func (r *wireRandom) change(b, other []byte, s shape) []byte {
	if r.bool() {
		return r.rearrange(b, s)
	}
	b = bytes.Clone(b)
	for range 1 + r.IntN(3) {
		from, to := r.IntN(len(b)+1), r.IntN(len(b)+1)
		from, to = min(from, to), max(from, to)
		switch r.IntN(8) {
		case 0: // another message, merged
			b = append(b, other...)
		case 1: // cut off
			b = b[:to]
		case 2: // a part is lost
			b = slices.Delete(b, from, min(from+4, to))
		case 3: // a part is there twice
			b = slices.Insert(b, to, bytes.Clone(b[from:to])...)
		case 4: // unknown fields
			b = slices.Insert(b, from, r.unknown()...)
		case 5: // another byte
			if from < len(b) {
				b[from] = byte(r.Uint32())
			}
		case 6: // another bit
			if from < len(b) {
				b[from] ^= 1 << r.IntN(8)
			}
		}
	}
	return b
}

// rearrange writes the fields of b, which has the shape s, and those of messages
// in it in other ways: in another order, some twice, some not at all, among
// unknown fields, and messages in parts that merge.
func (r *wireRandom) rearrange(b []byte, s shape) []byte {
	var fields [][]byte
	for len(b) > 0 {
		num, _, tag := protowire.ConsumeTag(b)
		_, _, n := protowire.ConsumeField(b)
		field := b[:n]
		if sub, ok := s[num]; ok && sub != nil && !sub.isPacked() {
			body, _ := protowire.ConsumeBytes(field[tag:])
			body = r.rearrange(body, sub)
			if _, _, cut := protowire.ConsumeField(body); cut > 0 && r.IntN(6) == 0 { // the first field apart from the others
				fields = append(fields, protowire.AppendBytes(bytes.Clone(field[:tag]), body[:cut]))
				body = body[cut:]
			}
			field = protowire.AppendBytes(bytes.Clone(field[:tag]), body)
		}
		fields, b = append(fields, field), b[n:]
	}
	if n := len(fields); n > 0 {
		i, j := r.IntN(n), r.IntN(n)
		switch r.IntN(8) {
		case 0:
			fields[i], fields[j] = fields[j], fields[i]
		case 1:
			fields = append(fields, fields[i])
		case 2:
			fields = slices.Delete(fields, i, i+1)
		case 3:
			fields = slices.Insert(fields, i, r.unknown())
		}
	}
	return bytes.Join(fields, nil)
}

func (r *wireRandom) unknown() []byte {
	num := protowire.Number(1 + r.IntN(40))
	switch r.IntN(6) {
	case 0:
		return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), r.Uint32())
	case 1:
		return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), r.Uint64())
	case 2:
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), r.string())
	case 3:
		return protowire.AppendGroup(protowire.AppendTag(nil, num, protowire.StartGroupType), num, r.unknown())
	case 4:
		return append(protowire.AppendTag(nil, num, protowire.VarintType), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(r.IntN(4)))
	}
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), r.Uint64())
}
