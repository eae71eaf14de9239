package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy" // for peers that compress
	"github.com/thanoskit/thanoskit/store/promstore"
)

func main() { program.Main("sidecar", run) }

func run(ctx context.Context, p *program.Program) (err error) {
	url := p.Flags.String("prometheus.url", "http://localhost:9090", "URL of the Prometheus to serve")
	minTime := p.TimeOrAge("min-time", "serve nothing before")
	httpClient := program.NewContent(p.Flags, "prometheus.http-client", "configuration of the HTTP client for Prometheus in YAML, as in Thanos: TLS, basic auth, bearer token")
	shipping := newShipping(p)
	if err := p.Parse(); err != nil {
		return err
	}
	opts := promstore.Options{MaxAge: minTime.Age, Logger: p.Log, Registerer: p.Registry}
	if !minTime.Time.IsZero() {
		opts.MinTime = minTime.Time.UnixMilli()
	}
	client, closeIdle, err := clientOf(httpClient, *url, p.Log)
	if err != nil {
		return err
	}
	defer closeIdle()
	opts.Client = client
	s, err := promstore.New(*url, &opts)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, s.Close, "close store")
	p.Go(s.Run)
	stop, err := shipping.start(p, s)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, stop, "close bucket")
	ready := func(ctx context.Context) error {
		if err := shipping.ready(); err != nil { // Prometheus has flags that keep blocks safe
			return err
		}
		_, err := s.Describe(ctx) // Prometheus has been reached, and has external labels
		return err
	}
	return p.Serve(ctx, s, grpcstore.ServerOptions{}, nil, ready)
}

// clientOf makes the client for Prometheus that is configured: nil, which is the
// Store's own, if none is.
func clientOf(config *program.Content, url string, log *slog.Logger) (*http.Client, func(), error) {
	if !config.Given() {
		return nil, func() {}, nil
	}
	text, err := config.Read()
	if err != nil {
		return nil, nil, err
	}
	c, err := program.ParseHTTPClient(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", config, err)
	}
	client, closeIdle, err := c.Client(url, log)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", config, err)
	}
	return client, closeIdle, nil
}
