package tlsutil

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// named is something of crypto/tls that has a name in flags.
type named[T any] struct {
	name string
	id   T
}

var versions = []named[uint16]{
	{"1.0", tls.VersionTLS10},
	{"1.1", tls.VersionTLS11},
	{"1.2", tls.VersionTLS12},
	{"1.3", tls.VersionTLS13},
}

var curves = []named[tls.CurveID]{
	{"CurveP256", tls.CurveP256},
	{"CurveP384", tls.CurveP384},
	{"CurveP521", tls.CurveP521},
	{"SecP256r1MLKEM768", tls.SecP256r1MLKEM768},
	{"SecP384r1MLKEM1024", tls.SecP384r1MLKEM1024},
	{"X25519", tls.X25519},
	{"X25519MLKEM768", tls.X25519MLKEM768},
}

// defaultMinVersion is Thanos' default.
const defaultMinVersion = tls.VersionTLS13

// ParseVersion returns the TLS version that Thanos' flags call "1.0", "1.1",
// "1.2" or "1.3". An empty name is the default, "1.3". Any other is an error.
func ParseVersion(name string) (uint16, error) {
	if name == "" {
		return defaultMinVersion, nil
	}
	return parse("TLS version", versions, name)
}

// ParseCurves returns key exchanges by the names that crypto/tls gives them
// ("X25519", "CurveP256"), as Thanos' flags do; nil, which lets crypto/tls choose,
// for none. A name that is not known is an error.
func ParseCurves(names []string) ([]tls.CurveID, error) {
	return parseAll("curve", curves, names)
}

// ParseCipherSuites returns cipher suites by the names that crypto/tls gives
// them, as Thanos' flags do; nil, which lets crypto/tls choose, for none. A name
// that is not known is an error, and so is one that crypto/tls calls insecure. Suites
// are chosen from for TLS 1.2 and before only.
func ParseCipherSuites(names []string) ([]uint16, error) {
	var known []named[uint16]
	for _, c := range tls.CipherSuites() {
		known = append(known, named[uint16]{c.Name, c.ID})
	}
	return parseAll("cipher suite", known, names)
}

func parseAll[T any](kind string, known []named[T], names []string) ([]T, error) {
	var out []T
	for _, name := range names {
		id, err := parse(kind, known, name)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

func parse[T any](kind string, known []named[T], name string) (T, error) {
	i := slices.IndexFunc(known, func(n named[T]) bool { return n.name == name })
	if i < 0 {
		names := make([]string, len(known))
		for i, n := range known {
			names[i] = n.name
		}
		var zero T
		return zero, fmt.Errorf("unknown %s %q, want one of %s", kind, name, strings.Join(names, ", "))
	}
	return known[i].id, nil
}
