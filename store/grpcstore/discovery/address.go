package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Resolver answers DNS lookups. *net.Resolver is one. It is asked many things at
// a time, returns when the context ends, and says that a name does not exist with
// a *net.DNSError, as package net does.
type Resolver interface {
	// LookupNetIP returns the addresses of a host; network is "ip", "ip4" or
	// "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	// LookupSRV returns the SRV records of name; service and proto are empty.
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

// lookupKind is how an address becomes those of members.
type lookupKind string

const (
	static       lookupKind = ""
	dns          lookupKind = "dns"
	dnsDualStack lookupKind = "dnsdualstack"
	dnsSRV       lookupKind = "dnssrv"
	dnsSRVNoA    lookupKind = "dnssrvnoa"
)

// address is an endpoint's address, taken apart.
type address struct {
	raw        string
	kind       lookupKind
	host, port string // of names to look up; no port if the SRV record's is to be taken
}

// parseAddress takes an address apart.
//
// Source: pkg/discovery/dns of Thanos; schemes (http://) mean nothing to gRPC.
func parseAddress(raw string) (address, error) {
	a := address{raw: raw}
	kind, name, ok := strings.Cut(raw, "+")
	if !ok || strings.ContainsAny(kind, ":/") {
		if !strings.Contains(raw, ":") {
			return a, fmt.Errorf("address %q is not host:port", raw)
		}
		return a, nil
	}
	a.kind = lookupKind(kind)
	var err error
	switch a.kind {
	case dns, dnsDualStack:
		a.host, a.port, err = net.SplitHostPort(name)
		if err == nil && (a.host == "" || a.port == "") {
			err = errors.New("host or port is empty")
		}
	case dnsSRV, dnsSRVNoA:
		if a.host, a.port, err = net.SplitHostPort(name); err != nil {
			a.host, a.port, err = name, "", nil
		}
		if a.host == "" {
			err = errors.New("name is empty")
		}
	default:
		err = fmt.Errorf("unknown kind of lookup %q, want dns, dnsdualstack, dnssrv or dnssrvnoa", kind)
	}
	if err != nil {
		return a, fmt.Errorf("address %q: %w", raw, err)
	}
	return a, nil
}

// target is where a member is, and what it is asked for as.
type target struct {
	dial      string // host:port, or ip:port
	authority string // host:port; empty if it is the one dialed
}

// resolve looks an address up, and returns what it stands for, sorted. A name
// that does not exist stands for nothing.
func (a address) resolve(ctx context.Context, r Resolver) ([]target, error) {
	var out []target
	var err error
	switch a.kind {
	case static:
		return []target{{dial: a.raw}}, nil
	case dns:
		out, err = addresses(ctx, r, "ip", a.host, a.port)
	case dnsDualStack:
		v6, err6 := addresses(ctx, r, "ip6", a.host, a.port)
		v4, err4 := addresses(ctx, r, "ip4", a.host, a.port)
		if out = append(v6, v4...); len(out) == 0 {
			err = errors.Join(err6, err4)
		}
	case dnsSRV, dnsSRVNoA:
		out, err = a.resolveSRV(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b target) int {
		return strings.Compare(a.dial+" "+a.authority, b.dial+" "+b.authority)
	})
	return slices.Compact(out), nil
}

func (a address) resolveSRV(ctx context.Context, r Resolver) ([]target, error) {
	_, records, err := r.LookupSRV(ctx, "", "", a.host)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	var out []target
	for _, rec := range records {
		port := a.port
		if port == "" {
			port = strconv.Itoa(int(rec.Port))
		}
		host := strings.TrimSuffix(rec.Target, ".")
		switch {
		case host == "": // RFC 2782: there is decidedly no such service
		case a.kind == dnsSRVNoA:
			out = append(out, target{dial: net.JoinHostPort(host, port)})
		default:
			found, err := addresses(ctx, r, "ip", rec.Target, port)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	return out, nil
}

// addresses returns those of a host, which may be rooted: that keeps search
// domains out of the lookup, and is no part of its name.
func addresses(ctx context.Context, r Resolver, network, host, port string) ([]target, error) {
	ips, err := r.LookupNetIP(ctx, network, host)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	authority := net.JoinHostPort(strings.TrimSuffix(host, "."), port)
	var out []target
	for _, ip := range ips {
		out = append(out, target{dial: net.JoinHostPort(ip.Unmap().String(), port), authority: authority})
	}
	return out, nil
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}
