package main

import (
	"context"
	"errors"
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
	external := labels.NewBuilder(labels.EmptyLabels())
	p.Flags.Func("external-label", "NAME=VALUE that every series gets (repeatable)", func(s string) error {
		name, value, _ := strings.Cut(s, "=")
		if name == "" || value == "" {
			return errors.New("not NAME=VALUE")
		}
		external.Set(name, value)
		return nil
	})
	if err := p.Parse(); err != nil {
		return err
	}
	s := store.Wrap(gateway{*dir}, store.WithExternalLabels(external.Labels()), store.WithSorting())
	ready := func(context.Context) error { _, err := os.Stat(*dir); return err }
	return p.Serve(ctx, s, grpcstore.ServerOptions{}, nil, ready)
}
