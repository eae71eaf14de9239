package discovery_test

import (
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// BenchmarkRefresh is a refresh in which nothing changes, of 1,000 members: half
// of them as they stand, half from 50 names with 10 addresses each.
func BenchmarkRefresh(b *testing.B) {
	z := newZone()
	var addresses []string
	for i := range 500 {
		addresses = append(addresses, fmt.Sprintf("host-%d:10901", i))
	}
	for i := range 50 {
		name := fmt.Sprintf("name-%d", i)
		addresses = append(addresses, "dns+"+name+":10901")
		var ips []string
		for j := range 10 {
			ips = append(ips, fmt.Sprintf("10.0.%d.%d", i, j))
		}
		z.set(name, ips...)
	}
	s := newSource(b, &discovery.Options{Config: endpoints(addresses...), Resolver: z})
	testutil.Ok(b, s.Refresh(b.Context()))
	testutil.Equals(b, 1000, len(s.Members()))
	b.ReportAllocs()
	for b.Loop() {
		testutil.Ok(b, s.Refresh(b.Context()))
	}
}
