package objstore

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"
	"go.yaml.in/yaml/v2"

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

// Check returns an error if no bucket was named.
func (c *Config) Check() error {
	if !c.Given() {
		return fmt.Errorf("--%s or --%s-file is needed", c.name, c.name)
	}
	return nil
}

// Open makes the client of the bucket, counted in reg under Thanos' names (nil =
// not at all). It asks nothing of the bucket: credentials that are wrong show at
// the first request. It warns of a directory that is not there: to its client that
// is an empty bucket, and an upload makes it. Errors do not have the configuration
// in them, in which there may be secrets.
func (c *Config) Open(component string, log *slog.Logger, reg prometheus.Registerer) (objstore.Bucket, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	content, err := c.content.Read()
	if err != nil {
		return nil, err
	}
	bkt, err := client.NewBucket(thanoskit.ToGoKit(log), content, component, nil)
	if err != nil {
		return nil, fmt.Errorf("open bucket of %s: %w", c.content, err)
	}
	switch err := directory(content); {
	case errors.Is(err, fs.ErrNotExist):
		log.Warn("directory of the bucket does not exist; the bucket counts as empty until something is uploaded to it", "err", err)
	case err != nil:
		return nil, errors.Join(fmt.Errorf("open bucket of %s: %w", c.content, err), bkt.Close())
	}
	if reg != nil {
		reg = prometheus.WrapRegistererWithPrefix("thanos_", reg)
	}
	return objstore.WrapWithMetrics(bkt, reg, bkt.Name()), nil
}

// OpenExisting is Open for those who only read what is in a bucket: one that is a
// directory has to be there.
//
// Errors: fs.ErrNotExist if it is not.
func (c *Config) OpenExisting(component string, log *slog.Logger, reg prometheus.Registerer) (objstore.Bucket, error) {
	if c.Given() {
		content, err := c.content.Read()
		if err != nil {
			return nil, err
		}
		if err := directory(content); err != nil {
			return nil, fmt.Errorf("open bucket of %s: %w", c.content, err)
		}
	}
	return c.Open(component, log, reg)
}

// directory looks at the directory that is the bucket, if it is one. What is wrong
// with the configuration is the client's to say.
func directory(content []byte) error {
	var bucket struct {
		Type   string
		Config struct{ Directory string }
	}
	if yaml.Unmarshal(content, &bucket) != nil || bucket.Config.Directory == "" || !strings.EqualFold(bucket.Type, string(objstore.FILESYSTEM)) {
		return nil //nolint:nilerr // The client parses it again, and says what is wrong.
	}
	info, err := os.Stat(bucket.Config.Directory)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: bucket.Config.Directory, Err: syscall.ENOTDIR}
	}
	return err
}
