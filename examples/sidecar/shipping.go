package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/shipper"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// checkInterval is the time after which Prometheus' flags are asked for again,
// until they are right.
const checkInterval = 2 * time.Second

// shipping is the writing half, by Thanos' flags.
type shipping struct {
	bucket   *objstore.Config
	dir      *string
	hashFunc *string
	upload   shipper.Options
	check    flagCheck

	// unchecked is why nothing is uploaded yet; nil once something is.
	unchecked atomic.Pointer[error]
}

func newShipping(p *program.Program) *shipping {
	s := &shipping{bucket: objstore.NewConfig(p.Flags, "objstore")}
	s.dir = p.Flags.String("tsdb.path", "./data", "data directory of Prometheus, whose blocks are uploaded")
	s.hashFunc = p.Enum("hash-func", "hash of each file of a block that is noted in its meta.json", string(block.HashNone), string(block.HashSHA256))
	p.Flags.BoolVar(&s.upload.UploadCompacted, "shipper.upload-compacted", false, "upload blocks that Prometheus has compacted, too: to be given once, for those of before, when it does not compact any more")
	p.Flags.BoolVar(&s.upload.AllowOutOfOrder, "shipper.allow-out-of-order-uploads", false, "do not let newer blocks wait for older ones that cannot be uploaded; the compactor has to merge blocks that overlap then")
	p.Flags.BoolVar(&s.upload.SkipCorrupted, "shipper.skip-corrupted-blocks", false, "go on without blocks that cannot be read; the compactor has to merge blocks that overlap then")
	p.Flags.StringVar(&s.upload.MetaFileName, "shipper.meta-file-name", shipper.DefaultMetaFileName, "file in the data directory that says which blocks have been uploaded")
	program.Count(p.Flags, &s.upload.Concurrency, "shipper.upload-concurrency", 0, 0, "how many files of a block are uploaded at a time; 0 is 4")
	p.Flags.BoolVar(&s.check.ignoreUnequal, "shipper.ignore-unequal-block-size", false, "accept a Prometheus that compacts blocks, so that some may be gone before they are uploaded")
	return s
}

// start uploads blocks while the program runs, if there is a bucket. stop is to
// be called in the end.
func (s *shipping) start(p *program.Program, prometheus *promstore.Store) (stop func() error, err error) {
	if !s.bucket.Given() {
		p.Log.Info("no bucket configured, blocks are not uploaded")
		return func() error { return nil }, nil
	}
	s.upload.HashFunc = block.HashFunc(*s.hashFunc)
	s.upload.ExternalLabels = prometheus.ExternalLabels
	s.upload.Logger, s.upload.Registerer = p.Log, p.Registry
	bkt, err := s.bucket.Open("sidecar", p.Log, p.Registry)
	if err != nil {
		return nil, err
	}
	ship, err := shipper.New(bkt, *s.dir, &s.upload)
	if err != nil {
		return nil, errors.Join(err, bkt.Close())
	}
	s.check.metaFile = filepath.Join(*s.dir, cmp.Or(s.upload.MetaFileName, shipper.DefaultMetaFileName))
	s.await(errors.New("flags of Prometheus not read yet"))
	p.Go(func(ctx context.Context) error {
		if !s.validate(ctx, p.Log, prometheus.Flags) {
			return nil
		}
		if err := checkDataDir(*s.dir); err != nil { // Prometheus is up, so it must be there
			p.Log.Error("data directory of Prometheus not found", "err", err)
		}
		if prometheus.ExternalLabels().IsEmpty() {
			_ = prometheus.Sync(ctx) // so as not to wait for them; the store's own Run says what is wrong
		}
		return ship.Run(ctx)
	})
	return bkt.Close, nil
}

// ready returns why nothing is uploaded yet, though something should be.
func (s *shipping) ready() error {
	if err := s.unchecked.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *shipping) await(err error) { s.unchecked.Store(&err) }

// validate waits until Prometheus has the right flags. It is false if the
// context ended first.
func (s *shipping) validate(ctx context.Context, log *slog.Logger, flags func(context.Context) (map[string]string, error)) bool {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		warnings, err := s.check.run(ctx, flags)
		if err == nil {
			for _, w := range warnings {
				log.Warn("flags of Prometheus are unusual", "err", w)
			}
			s.unchecked.Store(nil)
			return ctx.Err() == nil
		}
		s.await(fmt.Errorf("check flags of Prometheus: %w", err)) // logged by who waits for it
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// checkDataDir tells a data directory of Prometheus by its write-ahead log.
func checkDataDir(dir string) error {
	info, err := os.Stat(filepath.Join(dir, "wal"))
	if err == nil && !info.IsDir() {
		err = errors.New("wal is no directory")
	}
	if err != nil {
		return fmt.Errorf("--tsdb.path=%s has to be what Prometheus has as --storage.tsdb.path: %w", dir, err)
	}
	return nil
}
