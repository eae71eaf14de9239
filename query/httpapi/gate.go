package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/thanoskit/thanoskit/query"
)

// gate lets so many in at a time. Nil lets everyone in.
type gate struct {
	places  chan struct{}
	metrics *metrics
}

// newGate returns a gate for n at a time; less than one is no gate.
func newGate(n int, m *metrics) *gate {
	m.gateMax.Set(float64(max(n, 0)))
	if n < 1 {
		return nil
	}
	return &gate{places: make(chan struct{}, n), metrics: m}
}

// enter waits for a place, which leave gives back.
//
// Errors: query.ErrTimeout and query.ErrCanceled, when the context ends.
func (g *gate) enter(ctx context.Context) error {
	if g == nil {
		return nil
	}
	start := time.Now()
	defer func() { g.metrics.gateWait.Observe(time.Since(start).Seconds()) }()
	select {
	case g.places <- struct{}{}:
		g.metrics.gateTotal.Inc()
		g.metrics.gateInFlight.Inc()
		return nil
	case <-ctx.Done():
		cause := query.ErrCanceled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cause = query.ErrTimeout
		}
		return fmt.Errorf("wait for a turn: %w", cause)
	}
}

func (g *gate) leave() {
	if g == nil {
		return
	}
	g.metrics.gateInFlight.Dec()
	<-g.places
}
