package metric_test

import (
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/internal/metric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRegister(t *testing.T) {
	t.Parallel()
	gauge := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}) }
	reg := prometheus.NewRegistry()
	a, b := gauge(), gauge()
	testutil.Ok(t, metric.Register(reg, &a))
	testutil.Ok(t, metric.Register(reg, &b))
	testutil.Assert(t, a == b, "not shared")
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "x", Help: "Says something else."})
	testutil.NotOk(t, metric.Register(reg, &c))
	testutil.Ok(t, metric.Register(nil, &c))
}

func Example() {
	reg := prometheus.NewRegistry()
	first := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total"})
	second := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total"})
	fmt.Println(metric.Register(reg, &first), metric.Register(reg, &second), first == second)
	// Output: <nil> <nil> true
}
