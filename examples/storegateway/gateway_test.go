package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// parse returns the options that a command line makes.
func parse(t *testing.T, args ...string) (*bucketstore.Options, error) {
	t.Helper()
	p := program.New("store")
	p.Flags.SetOutput(io.Discard)
	f := newFlags(p)
	if err := p.Flags.Parse(args); err != nil {
		return nil, err
	}
	o, closeCaches, err := f.options(p)
	if err == nil {
		t.Cleanup(func() { testutil.Ok(t, closeCaches()) })
	}
	return o, err
}

func TestFlags(t *testing.T) {
	t.Parallel()
	o, err := parse(t)
	testutil.Ok(t, err)
	testutil.Equals(t, bucketstore.DefaultSyncInterval, o.SyncInterval)
	testutil.Equals(t, bucketstore.DefaultDeletionDelay, o.DeletionDelay)
	testutil.Equals(t, 20, o.MaxCalls)
	testutil.Assert(t, o.Cache != nil && o.ChunkCache == nil && o.Lister == nil)

	o, err = parse(
		t,
		"--sync-block-duration=5m", "--ignore-deletion-marks-delay=2d", "--consistency-delay=30m",
		"--store.index-header-lazy-reader-idle-timeout=0s", "--block-discovery-strategy=concurrent",
		"--store.grpc.downloaded-bytes-limit=1MB", "--store.limits.request-series=7", "--store.limits.request-samples=240",
		"--index-cache-size=0", "--chunk-cache-size=10MB", "--max-time=-2w",
		"--selector.relabel-config=[{action: keep, source_labels: [cluster], regex: eu.*}]",
	)
	testutil.Ok(t, err)
	testutil.Equals(t, 5*time.Minute, o.SyncInterval)
	testutil.Equals(t, 48*time.Hour, o.DeletionDelay)
	testutil.Equals(t, 30*time.Minute, o.ConsistencyDelay)
	testutil.Assert(t, o.HeaderIdle < 0)
	testutil.Equals(t, store.Limits{Series: 7, Chunks: 2, Bytes: 1 << 20}, o.Limits)
	testutil.Assert(t, o.Cache == nil && o.ChunkCache != nil && o.Lister != nil)
	testutil.Equals(t, 1, len(o.Relabel))
	at, ok := o.MaxTime.UnixMilli(time.UnixMilli(0))
	testutil.Assert(t, ok)
	testutil.Equals(t, -14*24*time.Hour.Milliseconds(), at)

	for _, bad := range []string{
		"--sync-block-duration=soon",
		"--index-cache-size=large",
		"--min-time=yesterday",
		"--block-discovery-strategy=dowsing",
		"--selector.relabel-config=[{action: replace}]",
		"--index-cache.config={type: SHOEBOX}",
		"--index-cache.config={type: IN-MEMORY, config: {size: 1MB}}",
		"--index-cache.config={type: MEMCACHED, config: {}}",
		"--index-cache.config={type: MEMCACHED, config: {addresses: [dnssrv+_memcached._tcp.example.org]}}",
		"--chunk-cache.config={type: MEMCACHED, config: {addresses: ['127.0.0.1:11211'], auto_discovery: true}}",
		"--block-sync-concurrency=0",
		"--block-meta-fetch-concurrency=-1",
		"--store.grpc.series-max-concurrency=-1",
		"--store.limits.request-series=-1",
	} {
		_, err := parse(t, bad)
		testutil.NotOk(t, err, bad)
		name, _, _ := strings.Cut(strings.TrimLeft(bad, "-"), "=")
		testutil.Assert(t, strings.Contains(err.Error(), "-"+name), "%s is not named: %v", name, err)
	}
	_, err = parse(t, "--min-time=2026-01-02T00:00:00Z", "--max-time=2026-01-01T00:00:00Z")
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "--min-time=2026-01-02T00:00:00Z is after --max-time=2026-01-01T00:00:00Z"), "%v", err)
	_, err = parse(t, "--min-time=-2h", "--max-time=-2h")
	testutil.Ok(t, err)
}

func TestCaches(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		"{type: IN-MEMORY, config: {max_size: 10MB, max_item_size: 100KB}}",
		"{type: in-memory}",
		"{type: MEMCACHED, config: {addresses: ['127.0.0.1:11211'], timeout: 200ms, ttl: 1h, max_idle_connections: 10, max_item_size: 5MB, max_async_buffer_size: 100, max_get_multi_batch_size: 50}}",
	} {
		o, err := parse(t, "--index-cache.config="+config, "--chunk-cache.config="+config)
		testutil.Ok(t, err)
		testutil.Assert(t, o.Cache != nil && o.ChunkCache != nil)
	}
}

// collector is a SeriesWriter that keeps the labels of series.
type collector []labels.Labels

func (c *collector) Send(s *store.Series) error {
	*c = append(*c, s.Labels)
	return nil
}

func (c *collector) Warn(err error) error { return err }

func TestGateway(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	_, err := blocktest.Golden(ctx, bkt, nil)
	testutil.Ok(t, err)
	opts, err := parse(t)
	testutil.Ok(t, err)

	// The bucket is silent until the test has asked for what is not there yet.
	asked := make(chan struct{})
	bkt.Fail(func(blocktest.Request) error {
		<-asked
		return nil
	})
	g := newGateway(bkt, t.TempDir(), opts)
	done := make(chan error)
	go func() { done <- g.run(ctx) }()
	req := &store.SeriesRequest{
		MinTime: 1_700_884_800_000, MaxTime: 1_700_884_900_000,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "golden_counter")},
	}
	var got collector
	for _, err := range []error{
		g.ready(ctx),
		g.Series(ctx, req, &got),
		second(g.LabelNames(ctx, &store.LabelNamesRequest{})),
		second(g.LabelValues(ctx, &store.LabelValuesRequest{Label: "is"})),
		second(g.Describe(ctx)),
	} {
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "error: %v", err)
	}
	close(asked)
	for g.ready(ctx) != nil {
		select {
		case err := <-done:
			t.Fatalf("gateway ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	testutil.Ok(t, g.Series(ctx, req, &got))
	testutil.Equals(t, `[{__name__="golden_counter", cluster="golden", is="fraction", replica="a"} {__name__="golden_counter", cluster="golden", is="integer", replica="a"}]`, fmt.Sprint([]labels.Labels(got)))
	names, err := g.LabelNames(ctx, &store.LabelNamesRequest{MinTime: req.MinTime, MaxTime: req.MaxTime})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "cluster", "is", "replica"}, names)
	values, err := g.LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MinTime: req.MinTime, MaxTime: req.MaxTime})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"golden"}, values)
	info, err := g.Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, int64(1_700_006_400_000), info.MinTime)

	cancel()
	testutil.Ok(t, <-done)
	testutil.Ok(t, g.close())
}

func second[T any](_ T, err error) error { return err }

func TestGatewayWithoutBucket(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	bkt.Fail(blocktest.Deny(nil))
	opts, err := parse(t)
	testutil.Ok(t, err)
	g := newGateway(bkt, t.TempDir(), opts)
	err = g.run(t.Context())
	testutil.Assert(t, errors.Is(err, blocktest.ErrAccessDenied), "error: %v", err)
	testutil.Assert(t, strings.Contains(err.Error(), "load blocks: "), "error: %v", err)
	testutil.Ok(t, g.close())
}
