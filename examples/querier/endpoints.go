package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
)

// endpointFlags are Thanos' flags for whom to ask, and how.
type endpointFlags struct {
	plain, strict, groups, strictGroups *[]string
	config, configFile                  string
	configInterval                      time.Duration
	files                               *[]string
	fileInterval, dnsInterval           time.Duration
	compression                         *string
	tls                                 *program.ClientTLS
}

func newEndpointFlags(p *program.Program) *endpointFlags {
	f := &endpointFlags{}
	f.plain = p.Strings("endpoint", "host:port of a StoreAPI to ask; dns+host:port, dnssrv+name and dnssrvnoa+name are looked up")
	f.strict = p.Strings("endpoint-strict", "like --endpoint, and asked even while it does not describe itself")
	f.groups = p.Strings("endpoint-group", "like --endpoint, and all that is found by it has the same data: one of them is asked")
	f.strictGroups = p.Strings("endpoint-group-strict", "like --endpoint-group and --endpoint-strict")
	p.Flags.StringVar(&f.config, "endpoint.sd-config", "", "configuration of endpoints in YAML; serves in it is not in Thanos")
	p.Flags.StringVar(&f.configFile, "endpoint.sd-config-file", "", "file with what --endpoint.sd-config takes, which is read again when it changes")
	p.Duration(&f.configInterval, "endpoint.sd-config-reload-interval", 5*time.Minute, "time between two looks at the file of --endpoint.sd-config-file; more than 5s is 5s")
	f.files = p.Strings("store.sd-files", "path, or pattern, of files with endpoints in the form of Prometheus' file SD, which are read again when they change")
	p.Duration(&f.fileInterval, "store.sd-interval", 5*time.Minute, "time between two looks at the files of --store.sd-files; more than 5s is 5s")
	p.Duration(&f.dnsInterval, "store.sd-dns-interval", 30*time.Second, "time between two lookups of an endpoint in DNS")
	f.compression = p.Enum("grpc-compression", "compression of what is asked of endpoints and answered", "none", "snappy")
	f.tls = program.NewClientTLS(p.Flags)
	return f
}

// looks is how often files are looked at, unless a flag says more often: Thanos
// is told of changes, and needs its intervals for what it was not told of.
const looks = 5 * time.Second

// source makes the source of endpoints. The configuration of endpoints has to be
// right at the start; it is the program's own.
func (f *endpointFlags) source(p *program.Program) (*discovery.Source, error) {
	// The files of the flags have to be good at the start, as those of the server.
	if _, err := f.tls.DialOptions("", p.Log); err != nil {
		return nil, err
	}
	base := &discovery.Config{DefaultClient: f.client()}
	for _, of := range []struct {
		addresses     []string
		group, strict bool
	}{{*f.plain, false, false}, {*f.groups, true, false}, {*f.strict, false, true}, {*f.strictGroups, true, true}} {
		for _, a := range of.addresses {
			base.Endpoints = append(base.Endpoints, discovery.Endpoint{Address: a, Group: of.group, Strict: of.strict})
		}
	}
	text, from := []byte(f.config), "--endpoint.sd-config"
	if f.configFile != "" {
		if f.config != "" {
			return nil, errors.New("--endpoint.sd-config and --endpoint.sd-config-file exclude each other")
		}
		var err error
		if text, err = os.ReadFile(f.configFile); err != nil {
			return nil, fmt.Errorf("--endpoint.sd-config-file: %w", err)
		}
		from = "--endpoint.sd-config-file=" + f.configFile
	}
	config, err := discovery.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	if f.config != "" {
		base = base.With(config)
	}
	return discovery.New(&discovery.Options{
		Config: *base, ConfigFile: f.configFile, Files: *f.files,
		DNSInterval: f.dnsInterval, FileInterval: min(looks, f.configInterval, f.fileInterval),
		Logger: p.Log, Registerer: p.Registry,
	})
}

// find looks endpoints up for the first time, and logs what is in the way.
func find(ctx context.Context, source *discovery.Source, log *slog.Logger) {
	err := source.Refresh(ctx)
	switch {
	case ctx.Err() != nil: // the program ends
	case err != nil:
		log.Warn("not all endpoints were found", "err", err)
	case len(source.Members()) == 0:
		log.Warn("there is no endpoint to ask, so answers are empty until one is found")
	}
}

// client is how endpoints are spoken with that the configuration says nothing of.
func (f *endpointFlags) client() discovery.ClientConfig {
	c := discovery.ClientConfig{Compression: *f.compression}
	if t := f.tls; t.Secure {
		c.ServerName = t.ServerName
		c.TLS = discovery.TLSConfig{
			Enabled: new(true), InsecureSkipVerify: &t.SkipVerify,
			CertFile: &t.Cert, KeyFile: &t.Key, CAFile: &t.CA, MinVersion: new(t.MinVersion()),
		}
	}
	return c
}

// described is ready once all endpoints that were found first have been asked
// what they hold, whether they answered or not. Those found later are not waited
// for: there may always be some.
func described(found <-chan struct{}, all *fanout.Store) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-found:
			_ = all.Sync(ctx) // who does not answer is not waited for again
			return ctx.Err()
		default:
			return errors.New("endpoints were not looked up yet")
		}
	}
}
