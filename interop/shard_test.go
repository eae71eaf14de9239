package interop

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
)

// A series is in the same shard for us and for Thanos, whatever takes part in
// the hash.
func TestShardsAreThanos(t *testing.T) {
	pool := &sync.Pool{New: func() any { b := make([]byte, 0, 100); return &b }}
	r := rand.New(rand.NewSource(6))
	for i := range 5000 {
		b := labels.NewBuilder(labels.EmptyLabels())
		for _, n := range []string{"__name__", "instance", "job", "le", "ünicode"} {
			if r.Intn(3) > 0 {
				b.Set(n, fmt.Sprint("v", r.Intn(50)))
			}
		}
		lset := b.Labels()
		s := store.Shard{Total: int64(1 + r.Intn(5)), By: r.Intn(2) == 0, Labels: []string{"job", "le", "none"}[:r.Intn(4)]}
		for s.Index = range s.Total {
			info := storepb.ShardInfo{ShardIndex: s.Index, TotalShards: s.Total, By: s.By, Labels: s.Labels}
			m := info.Matcher(pool)
			want := m.MatchesLabels(lset)
			m.Close()
			if got := s.Matches(lset); got != want {
				t.Fatalf("case %d: %s in %+v: got %t, Thanos says %t", i, lset, s, got, want)
			}
		}
	}
}
