package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// list is a Store that sends what it holds, whatever is asked, but obeys the
// matchers and the limit.
type list []labels.Labels

func (l list) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	sent := 0
	for i, lset := range l {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !req.Matches(lset) {
			continue
		}
		if sent++; req.Limit > 0 && sent > req.Limit {
			return nil
		}
		if err := w.Send(&store.Series{Labels: lset, Chunks: chunkNo(i)}); err != nil {
			return err
		}
	}
	return nil
}

// chunkNo makes a chunk that can be told from others.
func chunkNo(i int) []store.Chunk {
	return []store.Chunk{{MinTime: int64(i), MaxTime: int64(i), Raw: store.ChunkData{Encoding: chunkenc.EncXOR, Bytes: fmt.Appendf(nil, "chunk %d", i)}}}
}

// framed sends the same as frames of size series, overwriting each frame's
// memory when it is released.
type framed struct {
	list
	size int
	live *int // frames not yet released
}

func (l framed) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	fw := w.(encoded.Writer)
	flush := func(f *encoded.Frame) error {
		defer f.Release()
		return fw.SendFrame(f)
	}
	newFrame := func() *encoded.Frame {
		*l.live++
		return encoded.NewFrame(func(f *encoded.Frame) {
			*l.live--
			for i := range f.Series {
				clear(f.Series[i].Labels)
				for j := range f.Series[i].Chunks {
					clear(f.Series[i].Chunks[j].Raw.Bytes)
				}
			}
		})
	}
	f := newFrame()
	for i, lset := range l.list {
		if !req.Matches(lset) {
			continue
		}
		c := chunkNo(i)[0]
		f.Series = append(f.Series, encoded.Series{
			Labels: encoded.AppendLabels(nil, lset),
			Chunks: []encoded.Chunk{{MinTime: c.MinTime, MaxTime: c.MaxTime, Raw: encoded.Data{Encoding: c.Raw.Encoding, Bytes: c.Raw.Bytes}}},
		})
		if len(f.Series) == l.size {
			if err := flush(f); err != nil {
				return err
			}
			f = newFrame()
		}
	}
	return flush(f)
}

// sink collects labels and chunks as text. frames makes it take frames.
type sink struct {
	got      []string
	warnings []error
	fail     int // the number of series after which Send fails; 0 never
}

var errSink = fmt.Errorf("sink is full")

func (s *sink) add(lset labels.Labels, chunk []byte) error {
	s.got = append(s.got, lset.String()+" "+string(chunk))
	if s.fail > 0 && len(s.got) >= s.fail {
		return errSink
	}
	return nil
}

func (s *sink) Send(x *store.Series) error { return s.add(x.Labels, x.Chunks[0].Raw.Bytes) }

func (s *sink) Warn(err error) error {
	s.warnings = append(s.warnings, err)
	return nil
}

type frameSink struct {
	sink
	kept []*encoded.Frame // retained to the end, as a slow reader does
}

func (s *frameSink) SendFrame(f *encoded.Frame) error {
	f.Retain()
	s.kept = append(s.kept, f)
	return nil
}

// drain reads the frames that were kept and lets them go.
func (s *frameSink) drain() {
	sb := labels.NewScratchBuilder(0)
	for _, f := range s.kept {
		for i := range f.Series {
			_ = s.add(encoded.Labels(f.Series[i].Labels, &sb), f.Series[i].Chunks[0].Raw.Bytes)
		}
		f.Release()
	}
	s.kept = nil
}

func match(t testing.TB, mt labels.MatchType, name, value string) *labels.Matcher {
	t.Helper()
	m, err := labels.NewMatcher(mt, name, value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
