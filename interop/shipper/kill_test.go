package shipper

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Killed at any moment, our sidecar leaves nothing that is half there, and
// nothing is lost.
func TestKills(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const each = 5
			blocks, b := history(t, each*(*kills+2)), newBucket(t, kind)
			p := startPrometheus(t, currentPrometheus, nil, noCompaction...)

			examples.Binary(t, "sidecar") // built before anything is timed
			finish(t, p.dir, blocks[:each])
			s := startSidecar(t, "ours", p, b)
			b.awaitBlocks(t, s.Process, p.dir, each)
			s.Kill()

			stopped := map[string]int{}
			for n := range *kills {
				next := blocks[(n+1)*each : (n+2)*each]
				finish(t, p.dir, next)
				s := startSidecar(t, "ours", p, b)
				awaitObjects(t, b, next, rand.IntN(3*each)) // a block is three objects
				s.Kill()
				l := b.look(t, p.dir)
				links, err := filepath.Glob(filepath.Join(p.dir, "thanos", "upload", "thanos.shipper.json", "01*"))
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case len(l.partial) > 0:
					stopped["within an upload"]++
				case len(links) > 0:
					stopped["beside an upload"]++
				default:
					stopped["elsewhere"]++
				}
			}
			finish(t, p.dir, blocks[(*kills+1)*each:])
			s = startSidecar(t, "ours", p, b)
			l := b.awaitBlocks(t, s.Process, p.dir, len(blocks))
			checkRecord(t, p.dir, l)
			if len(l.partial) > 0 {
				t.Errorf("left in part: %v", l.partial)
			}
			checkOriginals(t, p.dir)
			b.thanosTools(t, "verify")
			t.Logf("%d kills: %v", *kills, stopped)
		})
	}
}

// awaitObjects waits until there are so many objects of blocks, and then a moment
// or none.
func awaitObjects(t testing.TB, b *bucket, blocks []string, n int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	for began := time.Now(); b.count(blocks) < n; <-tick.C {
		if time.Since(began) > proc.Patience {
			t.Fatalf("%d objects instead of %d", b.count(blocks), n)
		}
	}
	for range rand.IntN(4) * 10 {
		<-tick.C
	}
}

// checkOriginals makes sure that Prometheus' own meta.json files are as they
// were.
func checkOriginals(t testing.TB, dir string) {
	t.Helper()
	metas, err := filepath.Glob(filepath.Join(dir, "01*", block.MetaFile))
	if err != nil || len(metas) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	for _, path := range metas {
		meta, err := block.ReadMeta(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if len(meta.Thanos.Labels) > 0 {
			t.Errorf("%s was changed", path)
		}
		if _, err := os.Stat(path + ".tmp"); err == nil {
			t.Errorf("%s.tmp is left", path)
		}
	}
}
