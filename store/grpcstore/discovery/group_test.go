package discovery_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// TestAddressesOfAGroup: each address of a group's name is one of its replicas, of
// which one is asked; a dead one costs nothing, and one that is gone is not missed.
func TestAddressesOfAGroup(t *testing.T) {
	t.Parallel()
	a, b := &remote{name: "same"}, &remote{name: "same"}
	var n network
	defer n.add(t, a, nil, "10.0.0.1:1")()
	defer n.add(t, b, nil, "10.0.0.2:1")()
	z := newZone()
	z.set("s", "10.0.0.1", "10.0.0.2", "10.0.0.3") // nobody answers at the last
	cfg := discovery.Config{Endpoints: []discovery.Endpoint{{
		Address: "dns+s:1", Group: true,
		ServiceConfig: `{"loadBalancingPolicy":"round_robin"}`,
	}}}
	s := newSource(t, &discovery.Options{Config: cfg, Resolver: z, Client: n.client()})
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, 3, len(s.Members()))
	all, err := fanout.New(s, nil)
	testutil.Ok(t, err)
	testutil.NotOk(t, all.Sync(t.Context())) // the dead one

	answers := func() int {
		t.Helper()
		authorities, _ := a.asked()
		more, _ := b.asked()
		return len(authorities) + len(more)
	}
	for range 2 {
		before := answers()
		var out store.Outcome
		series := 0
		for _, err := range store.All(t.Context(), all, whole, &out) {
			testutil.Ok(t, err)
			series++
		}
		testutil.Equals(t, 1, series)
		testutil.Equals(t, 0, len(out.Warnings()))
		testutil.Equals(t, 1, answers()-before) // one of them, once
		z.set("s", "10.0.0.2")
		testutil.Ok(t, s.Refresh(t.Context()))
	}
}

// TestServiceConfig is refused by gRPC if it is none.
func TestServiceConfig(t *testing.T) {
	t.Parallel()
	cfg := discovery.Config{Endpoints: []discovery.Endpoint{{Address: "a:1", Group: true, ServiceConfig: "{"}}}
	s := newSource(t, &discovery.Options{Config: cfg})
	testutil.NotOk(t, s.Refresh(t.Context()))
	testutil.Equals(t, 1, len(s.Members()))
	_, err := ask(t, s.Members()[0].Store)
	testutil.NotOk(t, err)
}

// TestCompression needs a compressor that the program has not imported here.
func TestCompression(t *testing.T) {
	t.Parallel()
	cfg := discovery.Config{DefaultClient: discovery.ClientConfig{Compression: "snappy"}, Endpoints: []discovery.Endpoint{
		{Address: "a:1"}, {Address: "b:1", Client: discovery.ClientConfig{Compression: "none"}},
	}}
	s := newSource(t, &discovery.Options{Config: cfg})
	err := s.Refresh(t.Context())
	testutil.Assert(t, err != nil, "snappy is not registered")
	testutil.Equals(t, 1, len(s.Status()))
	testutil.Equals(t, "a:1", s.Status()[0].Origin)
}
