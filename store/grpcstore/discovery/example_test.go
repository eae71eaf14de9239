package discovery_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// pods is a Resolver that knows one name; a program would leave it to package net.
type pods struct{}

func (pods) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, nil
}

func (pods) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, nil
}

func Example() {
	config, err := discovery.ParseConfig([]byte(`
endpoints:
- address: sidecar.example:10901
  strict: true
- address: dns+store.example:10901
  group: true
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	endpoints, err := discovery.New(&discovery.Options{Config: *config, Resolver: pods{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer endpoints.Close()
	if err := endpoints.Refresh(context.Background()); err != nil {
		fmt.Println(err) // and go on with the others
	}
	all, err := fanout.New(endpoints, nil) // all.Run and endpoints.Run keep it up to date
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range endpoints.Members() {
		fmt.Printf("%s group=%q\n", m.Name, m.Group)
	}
	_ = all
	// Output:
	// sidecar.example:10901 group=""
	// dns+store.example:10901@10.0.0.1:10901 group="dns+store.example:10901"
	// dns+store.example:10901@10.0.0.2:10901 group="dns+store.example:10901"
}
