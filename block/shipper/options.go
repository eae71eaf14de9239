package shipper

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// Defaults of Options, as of Thanos' sidecar.
const (
	DefaultMetaFileName = "thanos.shipper.json"
	DefaultInterval     = 30 * time.Second
)

// Options of a Shipper. ExternalLabels is required; the rest is ready for use.
type Options struct {
	// ExternalLabels returns the labels that blocks get, which tell them from
	// those of other Prometheus servers. It is called once in each Sync, so they
	// may change: blocks that are there already keep theirs.
	ExternalLabels func() labels.Labels
	// UploadCompacted sends blocks that Prometheus compacted itself, too. Mind
	// that it must not compact what has been sent already.
	UploadCompacted bool
	// AllowOutOfOrder sends newer blocks even if an older one could not be sent,
	// and compacted blocks without comparing them with those in the bucket. A
	// compactor needs vertical compaction then.
	AllowOutOfOrder bool
	// SkipCorrupted leaves out blocks that readers could not read, and goes on
	// with newer ones. Without it, they are sent with a warning, and a block
	// whose meta.json cannot be read keeps all others waiting.
	SkipCorrupted bool
	// MetaFileName is the file in the data directory that says what has been sent.
	// Empty is DefaultMetaFileName.
	MetaFileName string
	// Source is what meta.json says of where blocks come from. Empty is
	// block.SourceSidecar.
	Source block.SourceType
	// HashFunc makes a hash of each file, for meta.json; none if empty.
	HashFunc block.HashFunc
	// Concurrency is the number of files of a block that are sent at a time. 0 is
	// that of block.UploadOptions.
	Concurrency int
	// Interval is the time between two Syncs of Run. 0 is DefaultInterval.
	Interval time.Duration

	// Logger logs blocks that were sent, and what Run finds; nil is silent.
	Logger *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered. Shippers
	// that share a Registerer share counters, which is meaningful, and the gauge
	// thanos_shipper_upload_compacted_done, which is not.
	Registerer prometheus.Registerer
}

// complete returns a copy with defaults filled in, and all problems joined.
func (o *Options) complete() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	if out.ExternalLabels == nil {
		errs = append(errs, errors.New("option ExternalLabels: missing"))
	}
	if out.MetaFileName == "" {
		out.MetaFileName = DefaultMetaFileName
	}
	if filepath.Base(out.MetaFileName) != out.MetaFileName || !filepath.IsLocal(out.MetaFileName) || out.MetaFileName == "." {
		errs = append(errs, fmt.Errorf("option MetaFileName: %q is no name of a file", out.MetaFileName))
	} else if _, ok := block.ParseID(out.MetaFileName); ok {
		errs = append(errs, fmt.Errorf("option MetaFileName: %q is the name of a block", out.MetaFileName))
	}
	if out.Source == block.SourceUnknown {
		out.Source = block.SourceSidecar
	}
	if out.HashFunc != block.HashNone && out.HashFunc != block.HashSHA256 {
		errs = append(errs, fmt.Errorf("option HashFunc: %q is not known", out.HashFunc))
	}
	if out.Concurrency < 0 {
		errs = append(errs, fmt.Errorf("option Concurrency: %d is negative", out.Concurrency))
	}
	if out.Interval < 0 {
		errs = append(errs, fmt.Errorf("option Interval: %v is negative", out.Interval))
	}
	if out.Interval == 0 {
		out.Interval = DefaultInterval
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, errors.Join(errs...)
}
