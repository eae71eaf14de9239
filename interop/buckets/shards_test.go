package buckets

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Gateways that share a bucket, one of ours and one of Thanos', each with its part:
// together they have every block, and none twice.
func TestShards(t *testing.T) {
	t.Parallel()
	blocks := filepath.Join(t.TempDir(), "blocks")
	s := span{time.Unix(1_700_006_400, 0), 9, 2 * time.Hour}
	writeBlocks(t, blocks, s)
	b := filesystemBucket(t)
	upload(t, blocks, b)
	p := startPrometheus(t, blocks)
	about := asker{s.start.Add(2 * time.Hour), s.end().Add(-time.Minute), 11 * time.Minute}
	want := about.answers(t, p.url, "", expressions(ours))

	shard := func(i int) []string {
		return []string{fmt.Sprintf("--selector.relabel-config="+
			"[{action: hashmod, source_labels: [__block_id], modulus: 2, target_label: shard}, {action: keep, source_labels: [shard], regex: %d}]", i)}
	}
	middle := s.start.Add(9 * time.Hour).UTC().Format(time.RFC3339)
	for _, tc := range []struct {
		name  string
		parts map[string][]string // By kind of gateway.
	}{
		{"blocks", map[string][]string{ours: shard(0), thanos: shard(1)}},
		{"blocks the other way", map[string][]string{ours: shard(1), thanos: shard(0)}},
		{"time", map[string][]string{ours: {"--max-time=" + middle}, thanos: {"--min-time=" + middle}}},
		{"time the other way", map[string][]string{ours: {"--min-time=" + middle}, thanos: {"--max-time=" + middle}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var both []*server
			for kind, args := range tc.parts {
				both = append(both, gateway(t, kind, b, args...))
			}
			q := querier(t, ours, both...)
			same(t, want, about.answers(t, "http://"+q.http, "", expressions(ours)))
		})
	}
}

// Gateways with an index cache in memcached, of which the second finds there what
// the first has put.
func TestCachedInMemcached(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("memcached")
	if err != nil {
		t.Fatalf("find memcached: %v; it is a Debian package", err)
	}
	addr := proc.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	proc.AwaitTCP(t, proc.Start(t, "memcached", path, "-u", "nobody", "-l", "127.0.0.1", "-p", port), addr)

	blocks := filepath.Join(t.TempDir(), "blocks")
	s := span{time.Unix(1_700_006_400, 0), 2, 2 * time.Hour}
	writeBlocks(t, blocks, s)
	b := filesystemBucket(t)
	upload(t, blocks, b)
	p := startPrometheus(t, blocks)
	about := asker{s.start.Add(time.Hour), s.end().Add(-time.Minute), 5 * time.Minute}
	want := about.answers(t, p.url, "", expressions(ours))
	config := fmt.Sprintf("{type: MEMCACHED, config: {addresses: [%q], timeout: 5s}}", addr)
	var ranges []float64 // That each gateway has read from the bucket.
	for range 2 {
		g := gateway(t, ours, b, "--index-cache.config="+config, "--chunk-cache.config="+config)
		q := querier(t, ours, g)
		same(t, want, about.answers(t, "http://"+q.http, "", expressions(ours)))
		ranges = append(ranges, rangeRequests(t, g))
	}
	if ranges[0] == 0 || ranges[1] > ranges[0]/4 {
		t.Errorf("the first gateway asked the bucket for %v ranges, the second for %v", ranges[0], ranges[1])
	}
}

// rangeRequests returns how many ranges of objects a gateway has asked its bucket
// for.
func rangeRequests(t testing.TB, g *server) float64 {
	t.Helper()
	text, err := proc.Get(t.Context(), "http://"+g.http+"/metrics")
	testutil.Ok(t, err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	testutil.Ok(t, err)
	for _, m := range families["thanos_objstore_bucket_operations_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "operation" && l.GetValue() == "get_range" {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatal("no count of ranges")
	return 0
}
