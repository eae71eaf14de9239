package storetest

import (
	"context"
	"fmt"
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
