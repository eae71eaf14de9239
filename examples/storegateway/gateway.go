package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// gateway is a Store whose blocks are still being loaded when it is first asked:
// until then it says that it is unavailable, which is what its clients take for a
// reason to come again.
type gateway struct {
	bkt    objstore.BucketReader
	dir    string
	opts   *bucketstore.Options
	opened atomic.Pointer[bucketstore.Store]
}

var (
	_ store.Store        = (*gateway)(nil)
	_ store.LabelQuerier = (*gateway)(nil)
	_ store.Describer    = (*gateway)(nil)
)

func newGateway(bkt objstore.BucketReader, dir string, opts *bucketstore.Options) *gateway {
	return &gateway{bkt: bkt, dir: dir, opts: opts}
}

// run loads the blocks and keeps up with the bucket until the context ends. That
// the bucket cannot be listed at the start ends the program.
func (g *gateway) run(ctx context.Context) error {
	s, err := bucketstore.Open(ctx, g.bkt, g.dir, g.opts)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("load blocks: %w", err)
	}
	if s == nil { // The program ends while it starts.
		return nil
	}
	g.opened.Store(s)
	return s.Run(ctx)
}

// ready returns nil once the blocks have been loaded.
func (g *gateway) ready(context.Context) error {
	_, err := g.store()
	return err
}

func (g *gateway) store() (*bucketstore.Store, error) {
	if s := g.opened.Load(); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("blocks are being loaded: %w", store.ErrUnavailable)
}

func (g *gateway) close() error {
	if s := g.opened.Load(); s != nil {
		return s.Close()
	}
	return nil
}

func (g *gateway) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	s, err := g.store()
	if err != nil {
		return err
	}
	return s.Series(ctx, req, w)
}

func (g *gateway) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	s, err := g.store()
	if err != nil {
		return nil, err
	}
	return s.LabelNames(ctx, req)
}

func (g *gateway) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	s, err := g.store()
	if err != nil {
		return nil, err
	}
	return s.LabelValues(ctx, req)
}

func (g *gateway) Describe(ctx context.Context) (store.Info, error) {
	s, err := g.store()
	if err != nil {
		return store.Info{}, err
	}
	return s.Describe(ctx)
}
