package fanout_test

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// gaugesOf shows the gauges of members that are not 0.
func gaugesOf(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	out := map[string]float64{}
	for _, f := range families {
		if name := f.GetName(); name != "thanoskit_fanout_members" && name != "thanos_store_nodes_grpc_connections" {
			continue
		}
		for _, m := range f.GetMetric() {
			var key []string
			for _, l := range m.GetLabel() {
				key = append(key, l.GetValue())
			}
			if v := m.GetGauge().GetValue(); v != 0 {
				out[strings.Join(key, " ")] += v
			}
		}
	}
	return out
}

// wantedGauges are those that fan-outs are to have, by what they say of their
// members.
func wantedGauges(fs ...*fanout.Store) map[string]float64 {
	out := map[string]float64{}
	for _, f := range fs {
		for _, h := range f.Health() {
			switch {
			case h.Err == nil && len(h.Info.LabelSets) == 0:
				out["healthy"]++
				out["no_external_labels "+h.Info.Component]++
			case h.Err == nil:
				out["healthy"]++
				out[h.Info.LabelSets[0].String()+" "+h.Info.Component]++
			case h.Removed:
				out["removed"]++
			case strings.HasSuffix(h.Err.Error(), "not yet described"):
				out["unknown"]++
			default:
				out["unhealthy"]++
			}
		}
	}
	return out
}

// cast are members that come, go and change, at random.
type cast struct {
	shifting
	*rand.Rand
	patients []*patient
}

func newCast(seed int64) *cast {
	c := &cast{Rand: rand.New(rand.NewSource(seed))}
	var stores []store.Store
	for range 6 {
		p := newPatient(infoOf("eu"))
		p.takes = time.Duration(c.Intn(2)) * time.Second
		c.patients, stores = append(c.patients, p), append(stores, p)
	}
	c.set(named(stores...)...)
	return c
}

// recast makes others members. Some are wrong, have the name that another had, or
// are no Describers.
func (c *cast) recast() {
	var members []fanout.Member
	for i, p := range c.patients {
		m := fanout.Member{Name: name(i), Store: p, Strict: c.Intn(4) == 0}
		switch c.Intn(10) {
		case 0, 1, 2:
			continue
		case 3:
			m.Store = c.patients[0]
		case 4:
			m.Store = sends()
		case 5:
			m.Name = name(c.Intn(i + 1))
		case 6:
			m.Store = nil
		}
		members = append(members, m)
	}
	c.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	c.set(members...)
}

// change makes one describe itself in another way, or not at all.
func (c *cast) change() {
	p := c.patients[c.Intn(len(c.patients))]
	switch c.Intn(3) {
	case 0:
		p.fail(errDown)
	case 1:
		p.heal()
	default:
		info := infoOf(fmt.Sprint(c.Intn(3)))
		if c.Intn(3) == 0 {
			info.LabelSets = nil
		}
		info.Component = []string{"sidecar", "store"}[c.Intn(2)]
		p.info.Store(&info)
	}
}

// TestGauges has members come, go and change, also while they are asked for their
// Info: the gauges are always what a count of all comes to.
func TestGauges(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range int64(10) {
		synctest.Test(t, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			opts := &fanout.Options{Registerer: reg, InfoInterval: 5 * time.Second, RemoveAfter: 6 * time.Second}
			c := newCast(seed)
			f, err := fanout.New(c, opts)
			testutil.Ok(t, err)
			other := newFanout(t, opts, named(sends(), newPatient(infoOf("eu")))...) // shares them
			defer running(t, f)()
			for range 200 {
				switch c.Intn(3) {
				case 0:
					c.recast()
				case 1:
					c.change()
				default:
					<-time.After(time.Duration(c.Intn(8000)) * time.Millisecond)
				}
				f.Health() // looks who is there
				synctest.Wait()
				want := wantedGauges(f, other)
				testutil.Equals(t, want, gaugesOf(t, reg), "seed %d", seed)
				for health := range wantedGauges(f) {
					seen[health]++
				}
			}
		})
	}
	for _, health := range []string{"healthy", "unhealthy", "removed", "unknown"} {
		testutil.Assert(t, seen[health] > 0, "no member was %s", health)
	}
}

// TestGaugesUnderLoad does that from many goroutines at the same time.
func TestGaugesUnderLoad(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	c := newCast(1)
	for _, p := range c.patients {
		p.takes = 0
	}
	f, err := fanout.New(c, &fanout.Options{Registerer: reg, RemoveAfter: time.Nanosecond})
	testutil.Ok(t, err)
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = f.Sync(t.Context()) // members fail
				}
			}
		})
	}
	for range 300 {
		c.recast()
		c.change()
		f.Health()
	}
	close(done)
	work.Wait()
	testutil.Equals(t, wantedGauges(f), gaugesOf(t, reg))
	c.set()
	f.Health()
	testutil.Equals(t, map[string]float64{}, gaugesOf(t, reg))
}
