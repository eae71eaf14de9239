package grpcstore_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// describer is a Store that has Info.
type describer struct {
	plainStore
	info store.Info
	err  error
}

func (d *describer) Describe(context.Context) (store.Info, error) { return d.info, d.err }

func TestInfo(t *testing.T) {
	eu, us := labels.FromStrings("cluster", "eu"), labels.FromStrings("cluster", "us", "replica", "a")
	full := store.Info{
		Component: "sidecar", LabelSets: []labels.Labels{eu, us}, MinTime: -5, MaxTime: math.MaxInt64,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{{Labels: eu, MinTime: 1, MaxTime: 2}, {Labels: us}},
	}
	anything := store.Info{Component: "gateway", MinTime: math.MinInt64, MaxTime: math.MaxInt64}
	for _, tc := range []struct {
		name  string
		store store.Store
		want  store.Info
	}{
		{"all of it", &describer{info: full}, full},
		{"a store that says nothing", &describer{}, anything},
		{"a store that is no Describer", plainStore(nil), anything},
	} {
		for kind, gopts := range servers {
			t.Run(tc.name+"/"+kind, func(t *testing.T) {
				c := overMemory(t, tc.store, &grpcstore.ServerOptions{Component: "gateway"}, nil, gopts()...)
				got, err := c.Describe(t.Context())
				testutil.Ok(t, err)
				testutil.Equals(t, infoText(tc.want), infoText(got))
				testutil.Equals(t, len(tc.want.TSDBs), len(got.TSDBs))
			})
		}
	}
}

// infoText is an Info with its label sets as text.
func infoText(i store.Info) []string {
	out := []string{i.Component}
	for _, l := range i.LabelSets {
		out = append(out, l.String())
	}
	for _, x := range i.TSDBs {
		out = append(out, x.Labels.String(), text(x.MinTime, x.MaxTime))
	}
	return append(out, text(i.MinTime, i.MaxTime, i.SupportsSharding, i.SupportsWithoutReplicaLabels))
}

func TestInfoFails(t *testing.T) {
	t.Run("with the store", func(t *testing.T) {
		c := overMemory(t, &describer{err: errors.New("prometheus is gone")}, nil, nil, grpcstore.GRPCServerOptions(nil)...)
		_, err := c.Describe(t.Context())
		testutil.NotOk(t, err)
		testutil.Equals(t, "store peer: info: rpc error: code = Unknown desc = prometheus is gone", err.Error())
	})
	t.Run("while the server does not serve", func(t *testing.T) {
		h := grpcstore.NewHealth()
		c := overMemory(t, plainStore(nil), &grpcstore.ServerOptions{Health: h}, nil, grpcstore.GRPCServerOptions(nil)...)
		ask := func() error { _, err := c.Describe(t.Context()); return err }
		testutil.Ok(t, ask())
		h.SetServing(false)
		testutil.Assert(t, errors.Is(ask(), store.ErrUnavailable))
		h.SetServing(true)
		testutil.Ok(t, ask())
		h.Shutdown()
		h.SetServing(true)
		testutil.Assert(t, errors.Is(ask(), store.ErrUnavailable))
	})
	t.Run("of a peer without StoreAPI", func(t *testing.T) {
		c := dialRaw(t, rawPeer{unary: map[string]func([]byte) ([]byte, error){
			"Info": func([]byte) ([]byte, error) { return []byte("\x12\x04rule"), nil },
		}}, nil)
		_, err := c.Describe(t.Context())
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	})
}
