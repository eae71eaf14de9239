package faults_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// The data of a member: series of some clusters, of which "a" is in front, so
// that those of different members alternate.
const (
	samplesPerSeries = 130 // more than a chunk
	scrape           = 15_000
	dataEnd          = samplesPerSeries * scrape // ms
)

func seriesLabels(cluster string, i int) labels.Labels {
	return labels.FromStrings("__name__", "up", "a", fmt.Sprintf("%04d", i), "cluster", cluster)
}

// held are Stores that were made before: many tests read the same ones.
var held struct {
	sync.Mutex
	stores map[string]*memstore.Store
}

// hold is a Store that announces its clusters and holds n series of each. It is
// only read.
func hold(t testing.TB, n int, clusters ...string) *memstore.Store {
	t.Helper()
	held.Lock()
	defer held.Unlock()
	key := fmt.Sprint(n, clusters)
	if s := held.stores[key]; s != nil {
		return s
	}
	opts := &memstore.Options{Component: "sidecar"}
	for _, c := range clusters {
		opts.LabelSets = append(opts.LabelSets, labels.FromStrings("cluster", c))
	}
	s := memstore.New(opts)
	for _, c := range clusters {
		for i := range n {
			for j := range samplesPerSeries {
				testutil.Ok(t, s.Append(seriesLabels(c, i), int64(j)*scrape, float64(len(c)*1000+i+j)))
			}
		}
	}
	if held.stores == nil {
		held.stores = map[string]*memstore.Store{}
	}
	held.stores[key] = s
	return s
}

type sample struct {
	t int64
	v float64
}

// data is samples by series.
type data map[string][]sample

// everything asks for all data.
func everything() *store.SeriesRequest {
	return &store.SeriesRequest{MinTime: 0, MaxTime: dataEnd, Outcome: &store.Outcome{}}
}

// dataOf is what a Store that is well holds of everything, or what that is changed
// to.
func dataOf(t testing.TB, s store.Store, change ...func(*store.SeriesRequest)) data {
	t.Helper()
	req, r := everything(), &reader{}
	for _, c := range change {
		c(req)
	}
	testutil.Ok(t, s.Series(context.Background(), req, r))
	testutil.Ok(t, r.err)
	return r.data
}

// reader decodes what it is sent, and remembers the first thing that is wrong
// with it.
type reader struct {
	data     data
	warnings []error
	err      error
	last     labels.Labels
	onSend   func(n int) error // told of the number of series
}

func (r *reader) Send(s *store.Series) error {
	if r.data == nil {
		r.data = data{}
	}
	if len(r.data) > 0 && labels.Compare(r.last, s.Labels) >= 0 && r.err == nil {
		r.err = fmt.Errorf("%s after %s", s.Labels, r.last)
	}
	r.last = s.Labels
	samples, err := decode(s)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("decode %s: %w", s.Labels, err)
	}
	r.data[s.Labels.String()] = samples
	if r.onSend != nil {
		return r.onSend(len(r.data))
	}
	return nil
}

func (r *reader) Warn(err error) error {
	r.warnings = append(r.warnings, err)
	return nil
}

// decode returns the samples of a series, each once.
func decode(s *store.Series) ([]sample, error) {
	out := make([]sample, 0, samplesPerSeries)
	for _, c := range s.Chunks {
		chk, err := c.Raw.Chunk()
		if err != nil {
			return nil, err
		}
		it := chk.Iterator(nil)
		for it.Next() != 0 {
			t, v := it.At()
			out = append(out, sample{t, v})
		}
		if it.Err() != nil {
			return nil, it.Err()
		}
	}
	slices.SortFunc(out, func(a, b sample) int { return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.v, b.v)) })
	return slices.Compact(out), nil
}

// holds fails the test unless got has all of want, and beside that only series of
// extra, as they are there; whatever it likes if that is nil.
func (got data) holds(t testing.TB, want, extra data) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		testutil.Assert(t, slices.Equal(want[name], got[name]), "%s has %d samples, want %d: not whole", name, len(got[name]), len(want[name]))
	}
	for name, samples := range got {
		if want[name] == nil && extra != nil {
			testutil.Assert(t, slices.Equal(extra[name], samples), "%s is nobody's", name)
		}
	}
}

// of counts the series of a cluster.
func (got data) of(cluster string) int {
	n := 0
	for name := range got {
		if strings.Contains(name, fmt.Sprintf("cluster=%q", cluster)) {
			n++
		}
	}
	return n
}
