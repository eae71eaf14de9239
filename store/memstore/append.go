package memstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
)

// ErrOutOfOrder says that a sample is not later than the raw data that its
// series already has.
var ErrOutOfOrder = errors.New("sample out of order")

// Append adds a float sample at t, in milliseconds, to the series with these
// labels, which is made if it does not exist. Samples of a series ascend in
// time, strictly; between kinds too.
//
// Labels with empty values are dropped.
//
// Errors: ErrOutOfOrder; and if names are not unique and ascending. Nothing is
// added then.
func (s *Store) Append(lset labels.Labels, t int64, v float64) error {
	return s.append(lset, sample{t: t, kind: chunkenc.ValFloat, f: v})
}

// AppendHistogram adds a native histogram as Append adds a float. h is copied.
//
// Errors: those of Append, and of h.Validate.
func (s *Store) AppendHistogram(lset labels.Labels, t int64, h *histogram.Histogram) error {
	if err := h.Validate(); err != nil {
		return fmt.Errorf("append to %s: %w", lset, err)
	}
	return s.append(lset, sample{t: t, kind: chunkenc.ValHistogram, h: h.Copy()})
}

// AppendFloatHistogram adds a native histogram with floating-point counts as
// Append adds a float. h is copied.
//
// Errors: those of Append, and of h.Validate.
func (s *Store) AppendFloatHistogram(lset labels.Labels, t int64, h *histogram.FloatHistogram) error {
	if err := h.Validate(); err != nil {
		return fmt.Errorf("append to %s: %w", lset, err)
	}
	return s.append(lset, sample{t: t, kind: chunkenc.ValFloatHistogram, fh: h.Copy()})
}

func (s *Store) append(lset labels.Labels, x sample) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.update(lset, func(sr *series) error { return sr.append(x) })
	if err != nil {
		return fmt.Errorf("append to %s: %w", lset, err)
	}
	return nil
}

// AddSeries adds raw chunks to a series, which is made if it does not exist.
// Chunks may overlap those that the series has. The next sample that is appended
// has to be later than all of them. What s points to is copied; the chunks'
// bytes are not looked into.
//
// Errors: ErrEncoding; ErrMalformed if a chunk holds no data, holds aggregates,
// or ends before it begins; and if label names are not unique and ascending.
// Nothing is added then.
func (s *Store) AddSeries(series *store.Series) error {
	return s.add(0, series)
}

// AddDownsampled adds aggregated chunks to a series as AddSeries adds raw ones.
// The resolution is that of the chunks: one sample for so much time, timed at its
// end.
//
// Errors: as AddSeries, but a chunk that holds raw data is ErrMalformed, and so
// is a resolution that is not positive.
func (s *Store) AddDownsampled(resolution time.Duration, series *store.Series) error {
	if resolution <= 0 {
		return fmt.Errorf("add downsampled series: %w: resolution %s", store.ErrMalformed, resolution)
	}
	return s.add(resolution, series)
}

func (s *Store) add(resolution time.Duration, in *store.Series) error {
	for _, c := range in.Chunks {
		if err := checkChunk(c, resolution > 0); err != nil {
			return fmt.Errorf("add series %s: %w", in.Labels, err)
		}
	}
	if len(in.Chunks) == 0 {
		return nil
	}
	refs := make([]*store.Chunk, len(in.Chunks))
	for i := range in.Chunks {
		refs[i] = &in.Chunks[i]
	}
	chunks := copyChunks(refs, allAggregates)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.update(in.Labels, func(sr *series) error { sr.addChunks(resolution, chunks); return nil })
	if err != nil {
		return fmt.Errorf("add series %s: %w", in.Labels, err)
	}
	return nil
}

// update changes the series with these labels, and adds it to the index if it
// is new and f has no error.
func (s *Store) update(lset labels.Labels, f func(*series) error) error {
	lset = lset.WithoutEmpty()
	sr := s.index.get(lset)
	if sr != nil {
		if err := f(sr); err != nil {
			return err
		}
		s.widen(sr)
		return nil
	}
	if err := checkLabels(lset); err != nil {
		return err
	}
	sr = &series{lset: lset.Copy()}
	if err := f(sr); err != nil {
		return err
	}
	s.index.add(sr)
	s.widen(sr)
	return nil
}

func checkLabels(lset labels.Labels) error {
	prev, first := "", true
	var err error
	lset.Range(func(l labels.Label) {
		if !first && l.Name <= prev && err == nil {
			err = fmt.Errorf("%w: label %q follows %q", store.ErrMalformed, l.Name, prev)
		}
		prev, first = l.Name, false
	})
	return err
}
