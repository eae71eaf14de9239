package compactor

import (
	"fmt"
	"testing"
)

// Thanos' compactor and ours take turns on one bucket while sidecars go on
// uploading. Neither halts, no sample is lost, and each takes up what the other one
// has left: replicas are merged, blocks grow to 2 d, and are downsampled.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBucket(t, kind)
			dirs := map[string]string{"ours": t.TempDir(), "thanos": t.TempDir()}
			for turn := range 14 {
				who := []string{"ours", "thanos"}[turn%2]
				b.upload(t)
				b.compact(t, who, dirs[who])
				when := fmt.Sprintf("turn %d, %s", turn, who)
				b.complete(t, when)
				b.tidy(t, when)
			}
			b.awaitDeleted(t, func() { b.compact(t, "ours", dirs["ours"]) })
			b.compact(t, "thanos", dirs["thanos"])
			b.complete(t, "in the end")
			got := spans(b.tidy(t, "in the end"))
			if got["raw 48h"] != 2 || got["5m 48h"] != 2 {
				t.Errorf("blocks: %v", got)
			}
			b.verify(t)
			b.served(t)
			t.Logf("blocks: %v", got)
		})
	}
}
