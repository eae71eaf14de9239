package main

import (
	"context"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy" // for peers that compress
)

func main() { program.Main("store", run) }

func run(ctx context.Context, p *program.Program) (err error) {
	flags := newFlags(p)
	if err := p.Parse(); err != nil {
		return err
	}
	opts, closeCaches, err := flags.options(p)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, closeCaches, "close caches")
	bkt, err := flags.bucket.Open("store", p.Log, p.Registry)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, bkt.Close, "close bucket")
	g := newGateway(bkt, *flags.dataDir, opts)
	defer errcapture.Do(&err, g.close, "close store")
	p.Go(g.run)
	return p.Serve(ctx, g, grpcstore.ServerOptions{}, nil, g.ready)
}
