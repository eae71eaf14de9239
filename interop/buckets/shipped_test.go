package buckets

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

// Blocks that either sidecar has shipped are answered for by either gateway, over
// S3 and over a directory, as the Prometheus answers that has them.
func TestShippedBlocks(t *testing.T) {
	t.Parallel()
	blocks := filepath.Join(t.TempDir(), "blocks")
	s := span{time.Unix(1_700_006_400, 0), 6, 2 * time.Hour}
	writeBlocks(t, blocks, s)
	p := startPrometheus(t, blocks)
	about := asker{s.start.Add(2 * time.Hour), s.end().Add(-time.Minute), 7 * time.Minute}
	want := about.answers(t, p.url, "", expressions(ours))

	srv := s3.Start(t)
	buckets, uploaders := map[string]bucket{}, map[string]*server{}
	for _, sidecarKind := range []string{ours, thanos} {
		for kind, b := range map[string]bucket{"filesystem": filesystemBucket(t), "S3": s3Bucket(srv, sidecarKind)} {
			name := sidecarKind + " " + kind
			buckets[name], uploaders[name] = b, sidecar(t, sidecarKind, p, b)
		}
	}
	for name, b := range buckets {
		b.await(t, uploaders[name], s.blocks)
	}
	for _, tc := range []struct{ sidecar, gateway, querier string }{
		{ours, thanos, thanos},
		{thanos, ours, thanos},
		{ours, ours, ours},
		{thanos, thanos, ours},
	} {
		for _, kind := range []string{"filesystem", "S3"} {
			t.Run(fmt.Sprintf("shipped by %s to %s, gateway of %s, querier of %s", tc.sidecar, kind, tc.gateway, tc.querier), func(t *testing.T) {
				q := querier(t, tc.querier, gateway(t, tc.gateway, buckets[tc.sidecar+" "+kind]))
				same(t, want, about.answers(t, "http://"+q.http, "", expressions(tc.querier)))
			})
		}
	}
}
