package fanout_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	opts := &fanout.Options{Registerer: reg}
	a := newPatient(infoOf("eu"), series("1"))
	src := &shifting{}
	src.set(named(a, sends(), newPatient(infoOf("us")))...)
	one, err := fanout.New(src, opts)
	testutil.Ok(t, err)
	two := newFanout(t, opts, named(newPatient(infoOf("eu")))...)

	gauges := func(want string) {
		t.Helper()
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(want+"\n"), "thanoskit_fanout_members", "thanos_store_nodes_grpc_connections"))
	}
	const head = `# HELP thanoskit_fanout_members Members of the fan-out by health: healthy, unhealthy, removed or, if never asked for their Info, unknown.
# TYPE thanoskit_fanout_members gauge
`
	const nodes = `# HELP thanos_store_nodes_grpc_connections Number of healthy Store APIs available to the fan-out.
# TYPE thanos_store_nodes_grpc_connections gauge
thanos_store_nodes_grpc_connections{external_labels="no_external_labels",store_type=""} 1
`
	gauges(head + `thanoskit_fanout_members{health="healthy"} 1
thanoskit_fanout_members{health="unknown"} 3
` + nodes)

	testutil.Ok(t, one.Sync(t.Context()))
	testutil.Ok(t, two.Sync(t.Context()))
	gauges(head + `thanoskit_fanout_members{health="healthy"} 4
thanoskit_fanout_members{health="unknown"} 0
` + nodes + `thanos_store_nodes_grpc_connections{external_labels="{cluster=\"eu\"}",store_type="sidecar"} 2
thanos_store_nodes_grpc_connections{external_labels="{cluster=\"us\"}",store_type="sidecar"} 1
`)

	a.fail(errDown)
	testutil.NotOk(t, one.Sync(t.Context()))
	gauges(head + `thanoskit_fanout_members{health="healthy"} 3
thanoskit_fanout_members{health="unhealthy"} 1
thanoskit_fanout_members{health="unknown"} 0
` + nodes + `thanos_store_nodes_grpc_connections{external_labels="{cluster=\"eu\"}",store_type="sidecar"} 1
thanos_store_nodes_grpc_connections{external_labels="{cluster=\"us\"}",store_type="sidecar"} 1
`)

	testutil.Equals(t, "a failed, b answered, c answered", ask(t, one))
	src.set(named(a)...)
	testutil.Equals(t, "a failed", ask(t, one))
	gauges(head + `thanoskit_fanout_members{health="healthy"} 1
thanoskit_fanout_members{health="unhealthy"} 1
thanoskit_fanout_members{health="unknown"} 0
` + strings.Replace(nodes, "} 1", "} 0", 1) + `thanos_store_nodes_grpc_connections{external_labels="{cluster=\"eu\"}",store_type="sidecar"} 1
thanos_store_nodes_grpc_connections{external_labels="{cluster=\"us\"}",store_type="sidecar"} 0
`)
	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_proxy_store_empty_stream_responses_total Total number of empty responses received.
# TYPE thanos_proxy_store_empty_stream_responses_total counter
thanos_proxy_store_empty_stream_responses_total 2
# HELP thanoskit_fanout_buffered_bytes Bytes of the buffer budget that frames sent ahead of the merge take up.
# TYPE thanoskit_fanout_buffered_bytes gauge
thanoskit_fanout_buffered_bytes 0
# HELP thanoskit_fanout_member_requests_total Requests to a fan-out, counted once for each of its members, by what became of the member.
# TYPE thanoskit_fanout_member_requests_total counter
thanoskit_fanout_member_requests_total{status="answered"} 2
thanoskit_fanout_member_requests_total{status="failed"} 2
`), "thanos_proxy_store_empty_stream_responses_total", "thanoskit_fanout_buffered_bytes", "thanoskit_fanout_member_requests_total"))
}

func TestBufferedBytesMetric(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	tr := &tracker{}
	f := newFanout(t, &fanout.Options{Registerer: reg, BufferBytes: 1000}, named(sendsFrames(tr, 1, bigAnswer(20, 100)...))...)
	var most float64
	gauge := func() float64 {
		fams, err := reg.Gather()
		testutil.Ok(t, err)
		for _, fam := range fams {
			if fam.GetName() == "thanoskit_fanout_buffered_bytes" {
				return fam.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	testutil.Ok(t, f.Series(t.Context(), all(), &frameReader{onFrame: func(*encoded.Frame) error {
		most = max(most, gauge())
		return nil
	}}))
	testutil.Assert(t, most > 0 && most <= 1000, "at most %f bytes", most)
	testutil.Equals(t, 0.0, gauge())
}

func TestLongExternalLabels(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	info := store.Info{LabelSets: []labels.Labels{labels.FromStrings("a", strings.Repeat("ü", 5000))}}
	f := newFanout(t, &fanout.Options{Registerer: reg}, named(withInfo(sends(), info))...)
	testutil.Ok(t, f.Sync(t.Context()))
	fams, err := reg.Gather() // fails on invalid UTF-8
	testutil.Ok(t, err)
	for _, fam := range fams {
		if fam.GetName() == "thanos_store_nodes_grpc_connections" {
			n := len(fam.GetMetric()[0].GetLabel()[0].GetValue())
			testutil.Assert(t, n > 990 && n <= 1000, "label of %d bytes", n)
		}
	}
}

func TestForeignCollectorIsAnError(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "thanos_proxy_store_empty_stream_responses_total", Help: "Total number of empty responses received.",
	}))
	_, err := fanout.New(fanout.Static(), &fanout.Options{Registerer: reg})
	testutil.NotOk(t, err)
}

func TestSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := tracetest.NewSpanRecorder()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
		fails := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown })
		f := newFanout(t, &fanout.Options{TracerProvider: tp, WaitBudget: time.Second}, named(sends(series("1")), fails, hangs(&tracker{}))...)
		ask(t, f)
		got := map[string]string{}
		for _, s := range rec.Ended() {
			testutil.Equals(t, "fanout series", s.Name())
			attrs := map[attribute.Key]string{}
			for _, a := range s.Attributes() {
				attrs[a.Key] = a.Value.Emit()
			}
			got[attrs["store"]] = attrs["status"] + ", " + attrs["series"] + " series. " + s.Status().Description
		}
		testutil.Equals(t, map[string]string{
			"a": "answered, 1 series. ",
			"b": "failed, 0 series. store b: series: connection refused",
			"c": "timed out, 0 series. store c: series: wait budget used up: context deadline exceeded",
		}, got)
	})
}
