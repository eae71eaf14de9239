package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// Options are what a Source may be given. The zero value, and nil, are good, and
// without an endpoint.
type Options struct {
	// Config is the endpoints that are known from the start, and how endpoints
	// are spoken with that do not say otherwise.
	Config Config
	// ConfigFile is a file like Config, which is read again; none if empty. What
	// it says is added to Config; its default_client_config comes first.
	ConfigFile string
	// Files are paths, or patterns of package path/filepath, of files of file SD. A
	// path has to exist, a pattern may stand for nothing.
	Files []string
	// Client is how members are dialed, but for Name and Compression. Its
	// DialOptions come after those made of the configuration, and win.
	Client grpcstore.ClientOptions
	// Resolver looks names up; that of package net if nil.
	Resolver Resolver
	// DNSInterval is the time between two lookups of a name; 30 s if 0. One that
	// failed is tried again after 5 s, if that is sooner.
	DNSInterval time.Duration
	// LookupTimeout is the most that the lookup of one address may take; 5 s if 0.
	// A refresh takes as long as the slowest of its lookups.
	LookupTimeout time.Duration
	// FileInterval is the time between two looks at files; 5 s if 0. It is also
	// the granularity of the other times.
	FileInterval time.Duration
	// Grace is for how long a connection that nobody uses is kept after its
	// member is gone, for those who have the member in hand; 30 s if 0.
	Grace time.Duration
	// Logger hears of what Run finds wrong, and of files of TLS; silent if nil.
	Logger *slog.Logger
	// Registerer gets the metrics; none if nil. Sources with the same one share
	// collectors, which are then sums over them.
	Registerer prometheus.Registerer
}

// retryInterval is the time after which what went wrong is tried again.
const retryInterval = 5 * time.Second

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"DNSInterval", &out.DNSInterval, 30 * time.Second},
		{"LookupTimeout", &out.LookupTimeout, 5 * time.Second},
		{"FileInterval", &out.FileInterval, 5 * time.Second},
		{"Grace", &out.Grace, 30 * time.Second},
	} {
		switch {
		case *d.value < 0:
			errs = append(errs, fmt.Errorf("%s is negative: %s", d.name, *d.value))
		case *d.value == 0:
			*d.value = d.def
		}
	}
	for _, p := range out.Files {
		errs = append(errs, checkPattern(p))
	}
	if out.Resolver == nil {
		out.Resolver = new(net.Resolver)
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, errors.Join(append(errs, out.Config.check())...)
}
