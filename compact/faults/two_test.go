package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// rivals are blocks of which much comes in a few runs.
func rivals(t testing.TB) objects {
	t.Helper()
	var specs []spec
	for k := range 7 {
		for i, replica := range []string{"0", "1"} {
			specs = append(specs, spec{n: 2*k + i + 1, labels: "a", replica: replica, from: int64(4 * k), hours: 4, level: 2, step: time.Hour})
		}
	}
	for k := range 5 {
		specs = append(specs, spec{n: 100 + k, labels: "b", from: int64(2 * k), hours: 2, level: 2})
	}
	return fixture(t, specs...)
}

// Two compactors by accident on the same blocks, each slow at everything by chance,
// for days: readers see every sample at all times, and in the end the bucket has
// what one of them alone makes of it.
func TestTwoCompactors(t *testing.T) {
	t.Parallel()
	o := rivals(t)
	replica := []string{"replica"}
	opts := compact.Options{ReplicaLabels: replica}
	r := newReader(replica...)
	var (
		want map[point]bool
		end  string
	)
	synctest.Test(t, func(t *testing.T) {
		begin()
		want = samplesOf(t, r, o)
		bkt := o.bucket(t)
		(&cycle{opts: opts, replica: replica}).settle(t, bkt, t.TempDir(), "in the end")
		end = state(t, bkt, replica...)
	})
	both, stale := 0, 0
	for seed := range uint64(*seeds) {
		synctest.Test(t, func(t *testing.T) {
			begin()
			bkt := o.bucket(t)
			most := []time.Duration{time.Second, time.Minute, 10 * time.Minute}[seed%3]
			until := time.Now().Add(5 * 24 * time.Hour)
			var (
				wg       sync.WaitGroup
				mu       sync.Mutex
				uploaded [2]int
			)
			for k := range 2 {
				rnd, rests := rand.New(rand.NewPCG(seed, uint64(k))), rand.New(rand.NewPCG(seed, uint64(k+2)))
				slow := blocktest.NewBucket(bkt)
				slow.Delay(func(blocktest.Request) time.Duration {
					mu.Lock()
					defer mu.Unlock()
					return time.Duration(rnd.Int64N(int64(most)))
				})
				c := newCompactor(t, slow, t.TempDir(), opts)
				wg.Go(func() {
					for time.Now().Before(until) {
						// The other one may be about to mark what this one would complain of.
						rep, err := c.Compactor.RunOnce(t.Context())
						if err != nil && compact.ClassOf(err) != compact.ClassStale {
							t.Errorf("seed %d: %v", seed, err)
							return
						}
						mu.Lock()
						uploaded[k] += len(rep.Uploaded)
						for _, f := range rep.Failed {
							if errors.Is(f, compact.ErrStale) {
								stale++
							}
						}
						mu.Unlock()
						<-time.After(time.Duration(rests.Int64N(int64(16 * time.Hour))))
					}
				})
			}
			// The reader looks every now and then, on average 200 times.
			for look := rand.New(rand.NewPCG(seed, 4)); time.Now().Before(until); {
				r.sees(t, bkt, want, fmt.Sprintf("seed %d, at %s", seed, time.Now()))
				<-time.After(time.Duration(look.Int64N(int64(72 * time.Minute))))
			}
			wg.Wait()
			if uploaded[0] > 0 && uploaded[1] > 0 {
				both++
			}
			(&cycle{opts: opts, replica: replica}).settle(t, bkt, t.TempDir(), "in the end")
			r.sees(t, bkt, want, fmt.Sprintf("seed %d, in the end", seed))
			testutil.Equals(t, end, state(t, bkt, replica...), "seed %d", seed)
		})
	}
	testutil.Assert(t, both > *seeds/2, "in %d of %d both have made something", both, *seeds)
	t.Logf("in %d of %d pairs both have made something; %d jobs were given up since the other one was faster", both, *seeds, stale)
}

// A compactor that finds, when its output is ready, that somebody else has compacted
// its sources uploads nothing, and leaves nothing behind.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	synctest.Test(t, func(t *testing.T) {
		begin()
		inner, dir := o.bucket(t), t.TempDir()
		bkt := blocktest.NewBucket(inner)
		overtaken := false
		bkt.Delay(func(r blocktest.Request) time.Duration {
			if strings.Contains(r.Name, "chunks/") && !overtaken {
				overtaken = true
				rep, err := newCompactor(t, inner, t.TempDir(), compact.Options{}).RunOnce(t.Context())
				testutil.Ok(t, err)
				testutil.Equals(t, 1, rep.Compactions)
			}
			testutil.Assert(t, r.Op != objstore.OpUpload, "%s", r)
			return 0
		})
		c := newCompactor(t, bkt, dir, compact.Options{})
		rep, err := c.RunOnce(t.Context())
		testutil.Equals(t, compact.ClassStale, compact.ClassOf(err), "%v", err)
		testutil.Equals(t, 1, len(rep.Failed))
		rep, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, rep.Compactions)
		for _, of := range []string{"jobs", "blocks"} {
			left, err := os.ReadDir(filepath.Join(dir, of))
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(left), of)
		}
		noneWithin(t, inner)
	})
}

// A block that somebody has deleted is gone, and not bad: nothing is marked in its
// place. One that somebody has marked for deletion is downsampled all the same, for
// whoever marked it may not have waited for that.
func TestSourceIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, tcase := range map[string]struct {
		o     objects
		away  func(t *testing.T, bkt objstore.Bucket, id ulid.ULID)
		class compact.Class
		made  int
	}{
		"deleted": {groups(t, "a"), func(t *testing.T, bkt objstore.Bucket, id ulid.ULID) {
			testutil.Ok(t, block.Delete(t.Context(), bkt, id))
		}, compact.ClassStale, 0},
		"marked": {fixture(t, spec{n: 1, labels: "a", from: 0, hours: 48, level: 4}), func(t *testing.T, bkt objstore.Bucket, id ulid.ULID) {
			_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: id})
			testutil.Ok(t, err)
		}, compact.ClassNone, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin()
				inner := tcase.o.bucket(t)
				bkt := blocktest.NewBucket(inner)
				gone := false
				bkt.Delay(func(r blocktest.Request) time.Duration {
					if strings.Contains(r.Name, "chunks/") && !gone {
						gone = true
						tcase.away(t, inner, newID(1))
					}
					return 0
				})
				r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{}).RunOnce(t.Context())
				testutil.Equals(t, tcase.class, compact.ClassOf(err), "%v", err)
				testutil.Assert(t, gone)
				testutil.Equals(t, 0, len(r.Quarantined))
				testutil.Equals(t, tcase.made, r.Downsamplings)
				there, err := inner.Exists(t.Context(), block.ObjectName(newID(1), block.NoCompactMarkFile))
				testutil.Ok(t, err)
				testutil.Assert(t, !there, "a mark without a block")
			})
		})
	}
}

// Compactors that share the groups each do their own, and together all of it;
// where they disagree on how many they are, nothing is lost, and a group that
// nobody looks after is seen.
func TestShards(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	o := groups(t, names...)
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := o.bucket(t)
		done := 0
		for shard := range 3 {
			r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{Shards: 3, Shard: shard}).RunOnce(t.Context())
			testutil.Ok(t, err)
			testutil.Assert(t, r.Compactions < len(names), "shard %d does all", shard)
			done += r.Compactions
		}
		testutil.Equals(t, len(names), done)
		noneWithin(t, bkt)
		for _, m := range live(t, bkt) {
			testutil.Assert(t, m.MinTime > epoch || len(m.Compaction.Sources) == 4, "%s", describe(m))
			testutil.Equals(t, block.Raw, m.Resolution())
		}
	})
}

// Compactors that disagree on how many they are: what two of them take for theirs is
// made twice at worst, and what nobody does is seen by each of them from the third
// run on. Nothing is lost, and once they agree all is done.
func TestShardsDisagree(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	o := groups(t, names...)
	type part struct{ shards, shard int }
	owner := func(p part, name string) bool {
		return compact.ShardOf(labels.FromStrings("cluster", name), p.shards) == p.shard
	}
	both, none := 0, 0
	disagree := []part{{3, 0}, {2, 1}}
	for _, name := range names {
		switch x, y := owner(disagree[0], name), owner(disagree[1], name); {
		case x && y:
			both++
		case !x && !y:
			none++
		}
	}
	testutil.Assert(t, both > 0 && none > 0, "%d of both, %d of none", both, none)
	synctest.Test(t, func(t *testing.T) {
		begin()
		reader := newReader()
		want := samplesOf(t, reader, o)
		bkt := o.bucket(t)
		regs := make([]*prometheus.Registry, len(disagree))
		compactors := make([]*checked, len(disagree))
		for i, p := range disagree {
			regs[i] = prometheus.NewRegistry()
			slow := blocktest.NewBucket(bkt)
			slow.Delay(func(blocktest.Request) time.Duration { return time.Second })
			compactors[i] = newCompactor(t, slow, t.TempDir(), compact.Options{Shards: p.shards, Shard: p.shard, Registerer: regs[i]})
		}
		for run := range 4 {
			var wg sync.WaitGroup
			for _, c := range compactors {
				wg.Go(func() { // At the same time, so that both make what both take for theirs.
					if _, err := c.Compactor.RunOnce(t.Context()); err != nil && compact.ClassOf(err) != compact.ClassStale {
						t.Errorf("run %d: %v", run, err)
					}
				})
			}
			wg.Wait()
			reader.sees(t, bkt, want, fmt.Sprintf("run %d", run))
			seen := 0
			if run >= 2 {
				seen = none
			}
			for i, reg := range regs {
				testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(`
# HELP thanoskit_compact_groups_without_owner Groups with work that no compactor has done over two runs.
# TYPE thanoskit_compact_groups_without_owner gauge
thanoskit_compact_groups_without_owner %d
`, seen)), "thanoskit_compact_groups_without_owner"), "run %d of %v", run, disagree[i])
			}
		}
		noneWithin(t, bkt)
		for shard := range 2 { // They agree.
			_, err := newCompactor(t, bkt, t.TempDir(), compact.Options{Shards: 2, Shard: shard}).RunOnce(t.Context())
			testutil.Ok(t, err)
		}
		reader.sees(t, bkt, want, "in the end")
		testutil.Equals(t, 2*len(names), len(live(t, bkt)))
	})
}

// lagging is a bucket whose listings are those of an earlier time.
type lagging struct {
	objstore.Bucket
	listed map[string]bool // nil is up to date
}

func (l *lagging) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	return l.Bucket.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		if l.listed != nil && !l.listed[a.Name] {
			return nil
		}
		return f(a)
	}, opts...)
}

// Where listings lag behind, a job is not done again and again: the run ends, and
// the next one sees what became of it. That is so for quarantines, too.
func TestListingLags(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b")
	flip(o, block.ObjectName(first(1), "chunks/000001"), -20)
	synctest.Test(t, func(t *testing.T) {
		begin()
		inner := o.bucket(t)
		bkt := &lagging{Bucket: inner, listed: map[string]bool{}}
		for name := range o {
			bkt.listed[name] = true
		}
		c := newCompactor(t, bkt, t.TempDir(), compact.Options{})
		r, err := c.RunOnce(t.Context())
		testutil.Equals(t, compact.ClassStale, compact.ClassOf(err), "%v", err)
		testutil.Equals(t, 1, r.Compactions)
		testutil.Equals(t, 1, len(r.Quarantined))
		bkt.listed = nil
		r, err = c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, r.Compactions)
		testutil.Equals(t, 0, len(r.Quarantined))
		noneWithin(t, inner)
	})
}
