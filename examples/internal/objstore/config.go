package objstore

import (
	"flag"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"

	"github.com/thanoskit/thanoskit"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// Config is what flags say about a bucket.
type Config struct {
	name    string // Of the flags, without "-file".
	content *program.Content
}

// NewConfig declares the flags --<prefix>.config and --<prefix>.config-file; the
// prefix is objstore wherever there is one bucket.
func NewConfig(flags *flag.FlagSet, prefix string) *Config {
	name := prefix + ".config"
	return &Config{name, program.NewContent(flags, name, "configuration of the bucket in Thanos' YAML")}
}

// Given reports whether a bucket was named.
func (c *Config) Given() bool { return c.content.Given() }

// Open makes the client of the bucket, counted in reg under Thanos' names (nil =
// not at all). It asks nothing of the bucket: credentials that are wrong show at
// the first request. Errors do not have the configuration in them, in which there
// may be secrets.
func (c *Config) Open(component string, log *slog.Logger, reg prometheus.Registerer) (objstore.Bucket, error) {
	if !c.Given() {
		return nil, fmt.Errorf("--%s or --%s-file is needed", c.name, c.name)
	}
	yaml, err := c.content.Read()
	if err != nil {
		return nil, err
	}
	bkt, err := client.NewBucket(thanoskit.ToGoKit(log), yaml, component, nil)
	if err != nil {
		return nil, fmt.Errorf("open bucket of --%s: %w", c.name, err)
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWithPrefix("thanos_", reg)
	}
	return objstore.WrapWithMetrics(bkt, reg, bkt.Name()), nil
}
