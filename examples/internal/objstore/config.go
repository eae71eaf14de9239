package objstore

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"

	"github.com/thanoskit/thanoskit"
)

// Config is what flags say about a bucket.
type Config struct {
	name          string // Of the flags, without "-file".
	content, file string
}

// NewConfig declares the flags --<prefix>.config and --<prefix>.config-file; the
// prefix is objstore wherever there is one bucket.
func NewConfig(flags *flag.FlagSet, prefix string) *Config {
	c := &Config{name: prefix + ".config"}
	flags.StringVar(&c.content, c.name, "", "configuration of the bucket in Thanos' YAML; $(NAME) is the environment's")
	flags.StringVar(&c.file, c.name+"-file", "", "file with the configuration of the bucket")
	return c
}

// Given reports whether a bucket was named.
func (c *Config) Given() bool { return c.content != "" || c.file != "" }

// Open makes the client of the bucket, counted in reg under Thanos' names (nil =
// not at all). It asks nothing of the bucket: credentials that are wrong show at
// the first request. Errors do not have the configuration in them, in which there
// may be secrets.
func (c *Config) Open(component string, log *slog.Logger, reg prometheus.Registerer) (objstore.Bucket, error) {
	yaml, err := c.read()
	if err != nil {
		return nil, err
	}
	bkt, err := client.NewBucket(thanoskit.ToGoKit(log), yaml, component, nil)
	if err != nil {
		return nil, fmt.Errorf("open bucket of --%s: %w", c.name, err)
	}
	return objstore.WrapWithMetrics(bkt, reg, bkt.Name()), nil
}

func (c *Config) read() ([]byte, error) {
	yaml := []byte(c.content)
	switch {
	case c.content != "" && c.file != "":
		return nil, fmt.Errorf("--%s and --%s-file exclude each other", c.name, c.name)
	case c.file != "":
		var err error
		if yaml, err = os.ReadFile(c.file); err != nil {
			return nil, fmt.Errorf("read --%s-file: %w", c.name, err)
		}
	case c.content == "":
		return nil, fmt.Errorf("--%s or --%s-file is needed", c.name, c.name)
	}
	return expand(yaml, os.LookupEnv)
}

var reference = regexp.MustCompile(`\$\([a-zA-Z_0-9]+\)`)

// expand puts in what the environment has for each $(NAME).
func expand(yaml []byte, lookup func(string) (string, bool)) ([]byte, error) {
	var errs []error
	out := reference.ReplaceAllFunc(yaml, func(ref []byte) []byte {
		name := string(ref[2 : len(ref)-1])
		value, ok := lookup(name)
		if !ok {
			errs = append(errs, fmt.Errorf("expand %s: not in the environment", ref))
		}
		return []byte(value)
	})
	return out, errors.Join(errs...)
}
