package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy" // for peers that compress
)

func main() { program.Main("bespokegateway", run) }

func run(ctx context.Context, p *program.Program) error {
	dir := p.Flags.String("csv.dir", ".", "directory of CSV files, one for each metric")
	external := p.Strings("external-label", "NAME=VALUE that every series gets")
	if err := p.Parse(); err != nil {
		return err
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, l := range *external {
		name, value, ok := strings.Cut(l, "=")
		if !ok {
			return fmt.Errorf("external label %q is not NAME=VALUE", l)
		}
		b.Set(name, value)
	}
	s := store.Wrap(gateway{*dir}, store.WithExternalLabels(b.Labels()), store.WithSorting())
	ready := func(context.Context) error { _, err := os.Stat(*dir); return err }
	return p.Serve(ctx, s, grpcstore.ServerOptions{}, nil, ready)
}
