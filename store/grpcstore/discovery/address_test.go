package discovery_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// zone is a Resolver that answers from a table, which may change.
type zone struct {
	mu    sync.Mutex
	hosts map[string][]string // by "network host"
	srv   map[string][]*net.SRV
	errs  map[string]error // by host or name, or "network host"
	asked map[string]int
}

func newZone() *zone {
	return &zone{hosts: map[string][]string{}, srv: map[string][]*net.SRV{}, errs: map[string]error{}, asked: map[string]int{}}
}

func (z *zone) set(host string, ips ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts["ip "+host] = ips
}

func (z *zone) fail(name string, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.errs[name] = err
}

func (z *zone) count(host string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[host]
}

func notFound(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (z *zone) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[host]++
	if err := errors.Join(z.errs[host], z.errs[network+" "+host]); err != nil {
		return nil, err
	}
	ips := z.hosts[network+" "+host]
	if len(ips) == 0 {
		return nil, notFound(host)
	}
	var out []netip.Addr
	for _, ip := range ips {
		out = append(out, netip.MustParseAddr(ip))
	}
	return out, nil
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if service != "" || proto != "" {
		return "", nil, errors.New("service and proto are in the name")
	}
	if err := z.errs[name]; err != nil {
		return "", nil, err
	}
	if len(z.srv[name]) == 0 {
		return "", nil, notFound(name)
	}
	return name, z.srv[name], nil
}

// names returns the members of some endpoints after one refresh.
func names(t *testing.T, z *zone, addresses ...string) ([]string, error) {
	t.Helper()
	opts := &discovery.Options{Resolver: z}
	for _, a := range addresses {
		opts.Config.Endpoints = append(opts.Config.Endpoints, discovery.Endpoint{Address: a})
	}
	s, err := discovery.New(opts)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, s.Close()) }()
	err = s.Refresh(t.Context())
	return memberNames(s), err
}

func memberNames(s *discovery.Source) []string {
	var out []string
	for _, m := range s.Members() {
		out = append(out, m.Name)
	}
	return out
}

func TestLookups(t *testing.T) {
	t.Parallel()
	broken := errors.New("server misbehaving")
	for name, tc := range map[string]struct {
		zone    func(*zone)
		address string
		want    []string
		err     string
	}{
		"static":          {address: "a:1", want: []string{"a:1"}},
		"static, IPv6":    {address: "[::1]:1", want: []string{"[::1]:1"}},
		"gRPC target":     {address: "dns:///a:1", want: []string{"dns:///a:1"}},
		"A and AAAA":      {zone: func(z *zone) { z.set("a", "10.0.0.2", "fd00::1", "10.0.0.1", "::ffff:10.0.0.1") }, address: "dns+a:1", want: []string{"dns+a:1@10.0.0.1:1", "dns+a:1@10.0.0.2:1", "dns+a:1@[fd00::1]:1"}},
		"unknown name":    {address: "dns+a:1"},
		"lookup fails":    {zone: func(z *zone) { z.fail("a", broken) }, address: "dns+a:1", want: []string{"dns+a:1@nowhere"}, err: "look up dns+a:1: server misbehaving"},
		"dual stack":      {zone: func(z *zone) { z.hosts["ip4 a"], z.hosts["ip6 a"] = []string{"10.0.0.1"}, []string{"fd00::1"} }, address: "dnsdualstack+a:1", want: []string{"dnsdualstack+a:1@10.0.0.1:1", "dnsdualstack+a:1@[fd00::1]:1"}},
		"one stack fails": {zone: func(z *zone) { z.hosts["ip4 a"] = []string{"10.0.0.1"}; z.fail("ip6 a", broken) }, address: "dnsdualstack+a:1", want: []string{"dnsdualstack+a:1@10.0.0.1:1"}},
		"both fail":       {zone: func(z *zone) { z.fail("a", broken) }, address: "dnsdualstack+a:1", want: []string{"dnsdualstack+a:1@nowhere"}, err: "server misbehaving"},
		"SRV": {zone: func(z *zone) {
			z.srv["_g._tcp.s"] = []*net.SRV{{Target: "p1.s.", Port: 2}, {Target: "p0.s.", Port: 1}}
			z.set("p0.s.", "10.0.0.1")
			z.set("p1.s.", "10.0.0.2", "10.0.0.3")
		}, address: "dnssrv+_g._tcp.s", want: []string{"dnssrv+_g._tcp.s@10.0.0.1:1", "dnssrv+_g._tcp.s@10.0.0.2:2", "dnssrv+_g._tcp.s@10.0.0.3:2"}},
		"SRV, port given": {zone: func(z *zone) {
			z.srv["s"] = []*net.SRV{{Target: "p0.s.", Port: 1}}
			z.set("p0.s.", "10.0.0.1")
		}, address: "dnssrv+s:7", want: []string{"dnssrv+s:7@10.0.0.1:7"}},
		"SRV, hosts share an address": {zone: func(z *zone) {
			z.srv["s"] = []*net.SRV{{Target: "p0.s.", Port: 1}, {Target: "p1.s.", Port: 1}}
			z.set("p0.s.", "10.0.0.1")
			z.set("p1.s.", "10.0.0.1")
		}, address: "dnssrv+s", want: []string{"dnssrv+s@10.0.0.1:1 (p0.s:1)", "dnssrv+s@10.0.0.1:1 (p1.s:1)"}},
		"SRV, host unknown": {zone: func(z *zone) {
			z.srv["s"] = []*net.SRV{{Target: "p0.s.", Port: 1}, {Target: "p1.s.", Port: 1}}
			z.set("p0.s.", "10.0.0.1")
		}, address: "dnssrv+s", want: []string{"dnssrv+s@10.0.0.1:1"}},
		"SRV, host fails": {zone: func(z *zone) {
			z.srv["s"] = []*net.SRV{{Target: "p0.s.", Port: 1}}
			z.fail("p0.s.", broken)
		}, address: "dnssrv+s", want: []string{"dnssrv+s@nowhere"}, err: "server misbehaving"},
		"SRV, no service": {zone: func(z *zone) { z.srv["s"] = []*net.SRV{{Target: "."}} }, address: "dnssrv+s"},
		"SRV, unknown":    {address: "dnssrv+s"},
		"SRV fails":       {zone: func(z *zone) { z.fail("s", broken) }, address: "dnssrv+s", want: []string{"dnssrv+s@nowhere"}, err: "server misbehaving"},
		"SRV, hosts only": {zone: func(z *zone) { z.srv["s"] = []*net.SRV{{Target: "p0.s.", Port: 1}, {Target: "p0.s", Port: 1}} }, address: "dnssrvnoa+s", want: []string{"dnssrvnoa+s@p0.s:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZone()
			if tc.zone != nil {
				tc.zone(z)
			}
			got, err := names(t, z, tc.address)
			testutil.Equals(t, tc.want, got)
			if tc.err == "" {
				testutil.Ok(t, err)
				return
			}
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.err), "%v", err)
			e, ok := errors.AsType[*discovery.Error](err)
			testutil.Assert(t, ok && e.Op == "look up" && e.Origin == tc.address, "%v", err)
		})
	}
}
