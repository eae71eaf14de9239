package storetest

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// Names of checks that others depend on.
const (
	checkInfo         = "info"
	checkSeries       = "series"
	checkCapabilities = "info-capabilities"
)

func basicChecks() []check {
	return []check{
		{
			name: checkInfo, doc: "Info is answered.",
			run: func(ctx context.Context, p *probe) error {
				_, err := p.describe(ctx)
				return err
			},
		},
		{
			name: checkSeries, doc: "All series are sent: the call ends without an error.",
			run: func(ctx context.Context, p *probe) error {
				_, err := p.all(ctx)
				return err
			},
		},
		{name: "warnings", doc: "A store that has all of its data does not warn.", run: checkWarnings},
		{name: "chunk-encodings", doc: "Chunks have encodings that the StoreAPI can carry.", run: ofSeries(func(s *series) []string { return s.encodings })},
		{name: "chunk-data", doc: "Chunks can be decoded.", run: ofSeries(func(s *series) []string { return s.undecodable })},
		{name: "chunk-times", doc: "Every sample of a chunk lies between its MinTime and MaxTime.", run: ofSeries(func(s *series) []string { return s.times })},
		{name: "large-messages", doc: "A series of 5 MiB is sent whole, and so is one of more than 1 MiB of chunks.", feature: LargeSeries, run: checkLarge},
	}
}

func checkWarnings(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	if len(a.warnings) > 0 {
		return fmt.Errorf("asked for %s: warned %d times, first: %w", a.req, len(a.warnings), a.warnings[0])
	}
	return nil
}

// ofSeries checks that nothing is wrong with any series.
func ofSeries(wrong func(*series) []string) func(context.Context, *probe) error {
	return func(ctx context.Context, p *probe) error {
		a, err := p.all(ctx)
		if err != nil {
			return err
		}
		for _, s := range a.series {
			if w := wrong(s); len(w) > 0 {
				return fmt.Errorf("series %s: %s", s.labels, w[0])
			}
		}
		return nil
	}
}

// large is the size in bytes of what gRPC does not receive by default.
const large = 4 << 20

// checkLarge asks for series that no message of the default size holds.
func checkLarge(ctx context.Context, p *probe) error {
	if p.large == nil {
		a, err := p.all(ctx)
		if err != nil {
			return err
		}
		for _, s := range a.series {
			if s.size() > large {
				return nil
			}
		}
		return skip("no series is larger than 4 MiB")
	}
	s, f, err := p.large()
	if err != nil {
		return err
	}
	mint, maxt := f.TimeRange()
	q := newProbe(s, p.opts, f)
	q.opts.MinTime, q.opts.MaxTime = mint, maxt
	return q.compareFamily(ctx, metricLarge)
}

func (s *series) size() int {
	n := labelBytes(s.labels)
	for _, c := range s.chunks {
		n += len(c.Raw.Bytes)
	}
	return n
}

// labelBytes is the size of names and values; ByteSize of labels.Labels is that
// of symbols in some of its layouts.
func labelBytes(lset labels.Labels) int {
	n := 0
	lset.Range(func(l labels.Label) { n += len(l.Name) + len(l.Value) })
	return n
}
