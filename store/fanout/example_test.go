package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// cluster is a Store with one series, which says in which cluster it is.
type cluster string

func (c cluster) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	return w.Send(&store.Series{Labels: labels.FromStrings("__name__", "up", "cluster", string(c))})
}

func (c cluster) Describe(context.Context) (store.Info, error) {
	return store.Info{LabelSets: []labels.Labels{labels.FromStrings("cluster", string(c))}}, nil
}

func Example() {
	down := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
		return errors.New("connection refused")
	})
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "eu", Store: cluster("eu")},
		fanout.Member{Name: "us", Store: cluster("us")},
		fanout.Member{Name: "lab", Store: down},
	), nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	req := &store.SeriesRequest{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "cluster", "eu|asia")}}
	var out store.Outcome
	for s, err := range store.All(context.Background(), f, req, &out) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Labels)
	}
	for _, m := range out.Members() {
		fmt.Printf("%s: %s %q\n", m.Member, m.Status, m.Reason)
	}
	fmt.Println(out.Warnings())
	// Output:
	// {__name__="up", cluster="eu"}
	// eu: answered ""
	// us: pruned "external labels do not match"
	// lab: failed ""
	// [store lab: series: connection refused]
}

// Two replicas of a gateway are one member of the fan-out. One of them is down.
func ExampleMember() {
	down := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
		return errors.New("connection refused")
	})
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "gateway-0", Group: "gateway", Store: down},
		fanout.Member{Name: "gateway-1", Group: "gateway", Store: cluster("eu")},
		fanout.Member{Name: "sidecar", Store: cluster("us"), Strict: true, Deadline: time.Minute},
	), &fanout.Options{Name: "global"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var out store.Outcome
	for s, err := range store.All(context.Background(), f, &store.SeriesRequest{}, &out) {
		fmt.Println(s.Labels, err)
	}
	for _, m := range out.Members() {
		fmt.Println(m.Member, m.Status, m.Err)
	}
	fmt.Println(out.Complete())
	// Output:
	// {__name__="up", cluster="eu"} <nil>
	// {__name__="up", cluster="us"} <nil>
	// gateway answered <nil>
	// gateway/gateway-0 pruned store gateway/gateway-0: series: connection refused
	// gateway/gateway-1 answered <nil>
	// sidecar answered <nil>
	// true
}

// A caller that cannot do without a cluster says so.
func ExampleStore_Series_require() {
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "eu", Store: cluster("eu")},
		fanout.Member{Name: "lab", Store: cluster("lab")},
	), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	us := labels.MustNewMatcher(labels.MatchEqual, "cluster", "us")
	err = f.Series(context.Background(), &store.SeriesRequest{Require: [][]*labels.Matcher{{us}}}, printer{})
	fmt.Println(err)
	// Output:
	// {__name__="up", cluster="eu"}
	// {__name__="up", cluster="lab"}
	// incomplete answer: {cluster="us"} is required, but no member has such labels
}

func ExampleStore_Series() {
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "eu", Store: cluster("eu")},
		fanout.Member{Name: "lab", Store: cluster("lab")},
	), &fanout.Options{BufferBytes: 16 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	// With Abort, an answer is whole or an error.
	err = f.Series(context.Background(), &store.SeriesRequest{Strategy: store.Abort}, printer{})
	fmt.Println(err)
	// Output:
	// {__name__="up", cluster="eu"}
	// {__name__="up", cluster="lab"}
	// <nil>
}

// printer is a store.SeriesWriter.
type printer struct{}

func (printer) Send(s *store.Series) error { _, err := fmt.Println(s.Labels); return err }
func (printer) Warn(err error) error       { _, err = fmt.Println("warning:", err); return err }

func ExampleStore_LabelValues() {
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "us", Store: cluster("us")},
		fanout.Member{Name: "eu", Store: cluster("eu")},
	), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "cluster"}))
	fmt.Println(f.LabelNames(context.Background(), &store.LabelNamesRequest{}))
	// Output:
	// [eu us] <nil>
	// [__name__ cluster] <nil>
}

func ExampleStore_Describe() {
	inner, err := fanout.New(fanout.Static(
		fanout.Member{Name: "us", Store: cluster("us")},
		fanout.Member{Name: "eu", Store: cluster("eu")},
	), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := inner.Describe(context.Background())
	fmt.Println(info.LabelSets, err)
	// Output:
	// [{cluster="us"} {cluster="eu"}] <nil>
}

func ExampleStore_Sync() {
	f, err := fanout.New(fanout.Static(
		fanout.Member{Name: "eu", Store: cluster("eu")},
		fanout.Member{Name: "lab", Store: unreachable{}},
	), &fanout.Options{Registerer: prometheus.NewRegistry()})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := f.Sync(context.Background()); err != nil {
		fmt.Println(err)
	}
	for _, h := range f.Health() {
		fmt.Println(h.Member, h.Err == nil, h.Info.LabelSets)
	}
	// Output:
	// store lab: info: store unavailable: no route to host
	// eu true [{cluster="eu"}]
	// lab false []
}

type unreachable struct{ store.Store }

func (unreachable) Describe(context.Context) (store.Info, error) {
	return store.Info{}, errors.New("no route to host")
}
