package faults_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// TestWrongInfo: what a member says of itself is not so. A fan-out acts upon it,
// and says in the outcome that it did.
func TestWrongInfo(t *testing.T) {
	t.Parallel()
	says := func(change func(*store.Info)) func(context.Context, store.Info) (store.Info, error) {
		return func(_ context.Context, info store.Info) (store.Info, error) {
			change(&info)
			return info, nil
		}
	}
	clusters := func(req *store.SeriesRequest) {
		req.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "cluster", "bad|eu|us|ap")}
	}
	whole := fate{status: store.Answered, arrived: seriesOfBad}
	for name, tc := range map[string]struct {
		bad    faulty
		change func(*store.SeriesRequest)
		want   fate
		none   bool // its condition does not cross the wire
	}{
		"labels of another cluster": {
			bad:    faulty{describe: says(func(i *store.Info) { i.LabelSets = []labels.Labels{labels.FromStrings("cluster", "elsewhere")} })},
			change: clusters, want: fate{status: store.Pruned, reason: store.PrunedByLabels},
		},
		"labels of another cluster, that nobody asks for": {
			bad:  faulty{describe: says(func(i *store.Info) { i.LabelSets = []labels.Labels{labels.FromStrings("cluster", "elsewhere")} })},
			want: whole,
		},
		"a time range after its data": {
			bad:  faulty{describe: says(func(i *store.Info) { i.MinTime, i.MaxTime = dataEnd+1, dataEnd+2 })},
			want: fate{status: store.Pruned, reason: store.PrunedByTime},
		},
		"a time range that ends before it begins": {
			bad:  faulty{describe: says(func(i *store.Info) { i.MinTime, i.MaxTime = 100, 50 })},
			want: whole,
		},
		"nothing": {bad: faulty{describe: says(func(i *store.Info) { *i = store.Info{} })}, change: clusters, want: whole},
		"that it removes replica labels, and does not": {
			bad:    faulty{request: func(r *store.SeriesRequest) { r.WithoutReplicaLabels = nil }},
			change: func(r *store.SeriesRequest) { r.WithoutReplicaLabels = []string{"a"} },
			want:   fate{status: store.Answered, arrived: seriesOfBad, lies: true},
		},
		"that it removes replica labels, and does not sort": {
			bad: faulty{
				request: func(r *store.SeriesRequest) { r.WithoutReplicaLabels = nil },
				series: func(_ context.Context, ss []*store.Series, w store.SeriesWriter) error {
					b := labels.NewBuilder(labels.EmptyLabels())
					for _, s := range ss {
						b.Reset(s.Labels)
						s.Labels = b.Del("a").Labels()
					}
					return sendAll(ss, w)
				},
			},
			change: func(r *store.SeriesRequest) { r.WithoutReplicaLabels = []string{"a"} },
			want:   fate{status: store.Failed, is: store.ErrUnsorted, text: []string{"series out of order"}, arrived: 1, lies: true},
			none:   true,
		},
		"that it shards, and does not": {
			bad: faulty{request: func(r *store.SeriesRequest) { r.Shard = nil }},
			change: func(r *store.SeriesRequest) {
				r.Shard = &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"a"}}
			},
			want: fate{status: store.Answered, arrived: seriesOfBad, lies: true},
		},
		"that it neither removes labels nor shards, though it can": {
			bad: faulty{describe: says(func(i *store.Info) { i.SupportsSharding, i.SupportsWithoutReplicaLabels = false, false })},
			change: func(r *store.SeriesRequest) {
				r.Shard, r.WithoutReplicaLabels = &store.Shard{Total: 1, By: true, Labels: []string{"cluster"}}, []string{"replica"}
			},
			want: whole,
		},
		"an error": {
			bad:  faulty{describe: func(context.Context, store.Info) (store.Info, error) { return store.Info{}, errDisk }},
			want: fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: ", "disk on fire"}},
		},
		"a panic": {
			bad:  faulty{describe: func(context.Context, store.Info) (store.Info, error) { panic(errDisk) }},
			want: fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: ", "panic"}},
		},
		"not a word": {
			bad: faulty{describe: func(ctx context.Context, _ store.Info) (store.Info, error) {
				<-ctx.Done()
				return store.Info{}, ctx.Err()
			}},
			want: fate{status: store.TimedOut, is: context.DeadlineExceeded, text: []string{"wait budget used up"}, took: time.Second},
		},
	} {
		for _, tr := range transports {
			t.Run(name+"/"+tr.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					bad, want := tc.bad, tc.want
					bad.Store = badData(t).Store
					if tr.name != "in process" && tc.none {
						want.is = nil
					}
					r := newRig(t, fanout.Options{WaitBudget: time.Second}, fanout.Member{Store: tr.to(t, bad)}, tr.to)
					var change []func(*store.SeriesRequest)
					if tc.change != nil {
						change = append(change, tc.change)
					}
					r.check(t, want, change...)
				})
			})
		}
	}
}

// TestSilentInfo: a member that does not describe itself in its time has failed,
// until it does.
func TestSilentInfo(t *testing.T) {
	t.Parallel()
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad, back := badData(t), time.Now().Add(time.Minute)
				bad.describe = func(ctx context.Context, info store.Info) (store.Info, error) {
					if time.Now().Before(back) {
						<-ctx.Done()
						return info, ctx.Err()
					}
					return info, nil
				}
				r := newRig(t, fanout.Options{InfoTimeout: 2 * time.Second}, fanout.Member{Store: tr.to(t, bad)}, tr.to)
				want := fate{status: store.Failed, is: context.DeadlineExceeded, text: []string{"info: store unavailable: "}, took: 2 * time.Second}
				r.checkWarn(t, want)
				want.took = 0 // it is known now
				r.check(t, want)
				<-time.After(time.Until(back))
				r.check(t, fate{status: store.Answered, arrived: seriesOfBad})
			})
		})
	}
}

// TestCorruptInfo: what a peer answers when it is asked for its Info is none.
func TestCorruptInfo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		info []byte
		is   error
		text string
	}{
		"garbage":     {slices.Repeat([]byte{0xff}, 100), store.ErrMalformed, "info: "},
		"truncated":   {[]byte{0x0a, 0x20, 0x0a}, store.ErrMalformed, "info: "},
		"no StoreAPI": {nil, store.ErrUnavailable, "has no StoreAPI"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, fanout.Options{}, fanout.Member{Store: rawPeer{info: tc.info}.serve(t)}, inMemory)
				r.check(t, fate{status: store.Failed, is: tc.is, text: []string{tc.text}})
				testutil.Assert(t, r.Health()[0].Err != nil)
				r.check(t, fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: "}})
			})
		})
	}
}
