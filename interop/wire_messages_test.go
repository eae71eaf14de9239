package interop

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/types"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// shape says which fields of a message hold messages; a nil shape is a string.
type shape map[protowire.Number]shape

// packed is the shape of a repeated number.
var packed = shape{-1: nil}

func (s shape) isPacked() bool { _, ok := s[-1]; return ok }

func shapeOfHints() shape {
	return shape{2: {}, 4: {}, 5: {}, 8: nil} // 8, the series hash label, is newer than Thanos v0.42.4
}

func shapeOfSeries() shape {
	aggr := shape{}
	for num := protowire.Number(3); num <= 8; num++ {
		aggr[num] = shape{}
	}
	return shape{1: {}, 2: aggr}
}

// sameKept is for messages of which everything is kept.
func sameKept(x any) any { return x }

func strategyOf(disabled bool, s storepb.PartialResponseStrategy) store.PartialResponseStrategy {
	if disabled || s == storepb.PartialResponseStrategy_ABORT {
		return store.Abort
	}
	return store.Warn
}

func anyOf(a *types.Any) *store.Any {
	if a == nil {
		return nil
	}
	return &store.Any{TypeURL: a.TypeUrl, Value: a.Value}
}

func limitOf(n int64) int { return int(max(n, 0)) }

// millisOf saturates.
func millisOf(ms int64) time.Duration {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d/time.Millisecond == time.Duration(ms):
		return d
	case ms < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// seriesRequest is a request with the size of batches.
type seriesRequest struct {
	Request *store.SeriesRequest
	Batch   int
}

func seriesRequestMessage() wireMessage {
	return wireMessage{
		empty:   func() protoMessage { return &storepb.SeriesRequest{} },
		random:  func(r *wireRandom) protoMessage { return r.seriesRequest() },
		meaning: func(m protoMessage) (any, error) { return seriesRequestOf(m.(*storepb.SeriesRequest)) },
		decode: func(b []byte) (any, error) {
			r, batch, err := wire.DecodeSeriesRequest(b)
			if err == nil && r.Hints != nil {
				r.Hints.SeriesHashLabel = ""
			}
			return seriesRequest{r, batch}, err
		},
		encode: func(x any) ([]byte, error) {
			return wire.AppendSeriesRequest(nil, x.(seriesRequest).Request, x.(seriesRequest).Batch), nil
		},
		kept: func(x any) any { // durations that were cut off are whole milliseconds again
			r := x.(seriesRequest)
			r.Request.MaxResolution = r.Request.MaxResolution.Truncate(time.Millisecond)
			if h := r.Request.Hints; h != nil {
				h.Step, h.Range = h.Step.Truncate(time.Millisecond), h.Range.Truncate(time.Millisecond)
			}
			return r
		},
		shape: shape{3: {}, 5: packed, 9: {}, 12: shapeOfHints(), 13: {}},
	}
}

func seriesRequestOf(m *storepb.SeriesRequest) (seriesRequest, error) {
	ms, err := storepb.MatchersToPromMatchers(m.Matchers...)
	if err != nil {
		return seriesRequest{}, err
	}
	r := &store.SeriesRequest{
		MinTime: m.MinTime, MaxTime: m.MaxTime, Matchers: ms, MaxResolution: millisOf(m.MaxResolutionWindow),
		Strategy: strategyOf(m.PartialResponseDisabled, m.PartialResponseStrategy), SkipChunks: m.SkipChunks,
		WithoutReplicaLabels: m.WithoutReplicaLabels, Limit: limitOf(m.Limit), StoreHints: anyOf(m.Hints),
	}
	for _, a := range m.Aggregates {
		r.Aggregates |= map[storepb.Aggr]store.Aggregates{
			storepb.Aggr_COUNT: store.AggregateCount, storepb.Aggr_SUM: store.AggregateSum, storepb.Aggr_MIN: store.AggregateMin,
			storepb.Aggr_MAX: store.AggregateMax, storepb.Aggr_COUNTER: store.AggregateCounter,
		}[a]
	}
	if s := m.ShardInfo; s != nil {
		r.Shard = &store.Shard{Index: s.ShardIndex, Total: s.TotalShards, By: s.By, Labels: s.Labels}
	}
	if h := m.QueryHints; h != nil {
		r.Hints = &store.QueryHints{
			Step: millisOf(h.StepMillis), ProjectionLabels: h.ProjectionLabels, ProjectionInclude: h.ProjectionInclude,
		}
		if h.Func != nil {
			r.Hints.Func = h.Func.Name
		}
		if h.Grouping != nil {
			r.Hints.Grouping, r.Hints.By = h.Grouping.Labels, h.Grouping.By
		}
		if h.Range != nil {
			r.Hints.Range = millisOf(h.Range.Millis)
		}
	}
	return seriesRequest{r, limitOf(m.ResponseBatchSize)}, nil
}

func labelNamesRequestMessage() wireMessage {
	return wireMessage{
		empty:  func() protoMessage { return &storepb.LabelNamesRequest{} },
		random: func(r *wireRandom) protoMessage { return r.labelNamesRequest() },
		meaning: func(x protoMessage) (any, error) {
			m := x.(*storepb.LabelNamesRequest)
			ms, err := storepb.MatchersToPromMatchers(m.Matchers...)
			return &store.LabelNamesRequest{
				MinTime: m.Start, MaxTime: m.End, Matchers: ms, Strategy: strategyOf(m.PartialResponseDisabled, m.PartialResponseStrategy),
				WithoutReplicaLabels: m.WithoutReplicaLabels, Limit: limitOf(m.Limit), StoreHints: anyOf(m.Hints),
			}, err
		},
		decode: func(b []byte) (any, error) { return wire.DecodeLabelNamesRequest(b) },
		encode: func(x any) ([]byte, error) {
			return wire.AppendLabelNamesRequest(nil, x.(*store.LabelNamesRequest)), nil
		},
		kept:  sameKept,
		shape: shape{5: {}, 6: {}},
	}
}

func labelValuesRequestMessage() wireMessage {
	return wireMessage{
		empty:  func() protoMessage { return &storepb.LabelValuesRequest{} },
		random: func(r *wireRandom) protoMessage { return r.labelValuesRequest() },
		meaning: func(x protoMessage) (any, error) {
			m := x.(*storepb.LabelValuesRequest)
			ms, err := storepb.MatchersToPromMatchers(m.Matchers...)
			return &store.LabelValuesRequest{
				Label: m.Label, MinTime: m.Start, MaxTime: m.End, Matchers: ms,
				Strategy:             strategyOf(m.PartialResponseDisabled, m.PartialResponseStrategy),
				WithoutReplicaLabels: m.WithoutReplicaLabels, Limit: limitOf(m.Limit), StoreHints: anyOf(m.Hints),
			}, err
		},
		decode: func(b []byte) (any, error) { return wire.DecodeLabelValuesRequest(b) },
		encode: func(x any) ([]byte, error) {
			return wire.AppendLabelValuesRequest(nil, x.(*store.LabelValuesRequest)), nil
		},
		kept:  sameKept,
		shape: shape{6: {}, 7: {}},
	}
}

func labelNamesMessage() wireMessage {
	w := stringsMessage()
	w.empty = func() protoMessage { return &storepb.LabelNamesResponse{} }
	w.random = func(r *wireRandom) protoMessage {
		return &storepb.LabelNamesResponse{Names: r.strings(), Warnings: r.strings(), Hints: r.any()}
	}
	w.meaning = func(x protoMessage) (any, error) {
		m := x.(*storepb.LabelNamesResponse)
		return &wire.Strings{Values: m.Names, Warnings: m.Warnings, Hints: anyOf(m.Hints)}, nil
	}
	return w
}

func labelValuesMessage() wireMessage {
	w := stringsMessage()
	w.empty = func() protoMessage { return &storepb.LabelValuesResponse{} }
	w.random = func(r *wireRandom) protoMessage {
		return &storepb.LabelValuesResponse{Values: r.strings(), Warnings: r.strings(), Hints: r.any()}
	}
	w.meaning = func(x protoMessage) (any, error) {
		m := x.(*storepb.LabelValuesResponse)
		return &wire.Strings{Values: m.Values, Warnings: m.Warnings, Hints: anyOf(m.Hints)}, nil
	}
	return w
}

func stringsMessage() wireMessage {
	return wireMessage{
		decode: func(b []byte) (any, error) { return wire.DecodeStrings(b) },
		encode: func(x any) ([]byte, error) { return wire.AppendStrings(nil, x.(*wire.Strings)), nil },
		kept:   sameKept,
		shape:  shape{3: {}},
	}
}

// labelSetOf is a label set in order; an error if a name is in it twice.
func labelSetOf(ls []labelpb.ZLabel) (labels.Labels, error) {
	ls = slices.Clone(ls)
	slices.SortFunc(ls, func(a, b labelpb.ZLabel) int { return strings.Compare(a.Name, b.Name) })
	b := labels.NewScratchBuilder(len(ls))
	for i, l := range ls {
		if i > 0 && ls[i-1].Name == l.Name {
			return labels.EmptyLabels(), fmt.Errorf("label name %q twice", l.Name)
		}
		b.Add(l.Name, l.Value)
	}
	return b.Labels(), nil
}

// describedInfo is an Info with the APIs that come with it.
type describedInfo struct {
	Info *store.Info
	APIs wire.APIs
}

func infoMessage() wireMessage {
	lset := shape{1: {}}
	return wireMessage{
		empty:   func() protoMessage { return &infopb.InfoResponse{} },
		random:  func(r *wireRandom) protoMessage { return r.info() },
		meaning: func(m protoMessage) (any, error) { return infoOf(m.(*infopb.InfoResponse)) },
		decode: func(b []byte) (any, error) {
			i, apis, err := wire.DecodeInfo(b)
			return describedInfo{i, apis}, err
		},
		encode: func(x any) ([]byte, error) { return wire.AppendInfo(nil, x.(describedInfo).Info), nil },
		kept: func(x any) any {
			i := *x.(describedInfo).Info
			i.MinTime, i.MaxTime = i.TimeRange()
			if slices.ContainsFunc(i.LabelSets, labels.Labels.IsEmpty) {
				i.LabelSets = nil
			}
			return describedInfo{&i, wire.StoreAPI}
		},
		shape: shape{1: lset, 3: {6: {1: lset}}, 4: {}, 5: {}, 6: {}, 7: {}, 8: {}, 9: {}},
	}
}

func infoOf(m *infopb.InfoResponse) (describedInfo, error) {
	out := describedInfo{Info: &store.Info{Component: m.ComponentType}}
	for _, z := range m.LabelSets {
		lset, err := labelSetOf(z.Labels)
		if err != nil {
			return out, err
		}
		out.Info.LabelSets = append(out.Info.LabelSets, lset)
	}
	for api, has := range map[wire.APIs]bool{
		wire.StoreAPI: m.Store != nil, wire.RulesAPI: m.Rules != nil, wire.MetadataAPI: m.MetricMetadata != nil,
		wire.TargetsAPI: m.Targets != nil, wire.ExemplarsAPI: m.Exemplars != nil, wire.QueryAPI: m.Query != nil, wire.StatusAPI: m.Status != nil,
	} {
		if has {
			out.APIs |= api
		}
	}
	s := m.Store
	if s == nil {
		return out, nil
	}
	out.Info.MinTime, out.Info.MaxTime = s.MinTime, s.MaxTime
	out.Info.SupportsSharding, out.Info.SupportsWithoutReplicaLabels = s.SupportsSharding, s.SupportsWithoutReplicaLabels
	for _, t := range s.TsdbInfos {
		lset, err := labelSetOf(t.Labels.Labels)
		if err != nil {
			return out, err
		}
		out.Info.TSDBs = append(out.Info.TSDBs, store.TSDBInfo{Labels: lset, MinTime: t.MinTime, MaxTime: t.MaxTime})
	}
	return out, nil
}

// answer is a response with its series.
type answer struct {
	wire.Response
	Series []*store.Series
}

func seriesResponseMessage() wireMessage {
	series := shapeOfSeries()
	return wireMessage{
		empty:   func() protoMessage { return &storepb.SeriesResponse{} },
		random:  func(r *wireRandom) protoMessage { return r.response() },
		meaning: func(m protoMessage) (any, error) { return answerOf(m.(*storepb.SeriesResponse)) },
		decode: func(b []byte) (any, error) {
			f := encoded.NewFrame(nil)
			var d wire.Decoder
			resp, err := d.Response(b, f)
			return ourAnswer(resp, f), err
		},
		encode: func(x any) ([]byte, error) { return encodeAnswer(x.(answer)) },
		kept: func(x any) any { // a batch of one is sent as a series
			a := x.(answer)
			if a.Kind == wire.KindBatch && len(a.Series) == 1 {
				a.Kind = wire.KindSeries
			}
			return a
		},
		shape: shape{1: series, 3: {}, 4: {1: series}},
	}
}

func ourAnswer(resp wire.Response, f *encoded.Frame) answer {
	a := answer{Response: resp}
	sb := labels.NewScratchBuilder(0)
	for i := range f.Series {
		a.Series = append(a.Series, wire.Plain(&f.Series[i], &sb))
	}
	return a
}

func encodeAnswer(a answer) ([]byte, error) {
	switch a.Kind {
	case wire.KindWarning:
		return wire.AppendWarning(nil, a.Warning), nil
	case wire.KindHints:
		return wire.AppendHints(nil, &a.Hints), nil
	case wire.KindSeries, wire.KindBatch:
		var e wire.Encoder
		for _, s := range a.Series {
			v, _ := wire.View(nil, s)
			if err := e.Add(&v); err != nil {
				return nil, err
			}
		}
		return e.Response(), nil
	default:
		return nil, nil
	}
}

func answerOf(m *storepb.SeriesResponse) (a answer, err error) {
	var series []*storepb.Series
	switch r := m.Result.(type) {
	case *storepb.SeriesResponse_Series:
		a.Kind, series = wire.KindSeries, []*storepb.Series{r.Series}
	case *storepb.SeriesResponse_Batch:
		a.Kind, series = wire.KindBatch, r.Batch.Series
	case *storepb.SeriesResponse_Warning:
		a.Kind, a.Warning = wire.KindWarning, r.Warning
	case *storepb.SeriesResponse_Hints:
		a.Kind, a.Hints = wire.KindHints, *anyOf(r.Hints)
	}
	for _, s := range series {
		out := &store.Series{}
		if out.Labels, err = labelSetOf(s.Labels); err != nil {
			return a, err
		}
		for _, c := range s.Chunks {
			chunk, err := chunkOf(c)
			if err != nil {
				return a, err
			}
			out.Chunks = append(out.Chunks, chunk)
		}
		a.Series = append(a.Series, out)
	}
	return a, nil
}

func chunkOf(c storepb.AggrChunk) (out store.Chunk, err error) {
	out.MinTime, out.MaxTime = c.MinTime, c.MaxTime
	aggr := &store.AggregatedChunk{}
	for _, x := range []struct {
		from *storepb.Chunk
		to   *store.ChunkData
	}{{c.Raw, &out.Raw}, {c.Count, &aggr.Count}, {c.Sum, &aggr.Sum}, {c.Min, &aggr.Min}, {c.Max, &aggr.Max}, {c.Counter, &aggr.Counter}} {
		if x.from == nil {
			continue
		}
		if _, ok := storepb.Chunk_Encoding_name[int32(x.from.Type)]; !ok {
			return out, errors.New("unknown encoding")
		}
		*x.to = store.ChunkData{Encoding: chunkenc.Encoding(x.from.Type) + 1, Bytes: x.from.Data}
		if x.to != &out.Raw {
			out.Aggregated = aggr
		}
	}
	return out, nil
}
