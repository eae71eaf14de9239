package remoteread

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/store"
)

// Defaults of Options: those of Prometheus' storage.remote.read-* flags, where
// it has one.
const (
	DefaultMaxSamples      = 50_000_000
	DefaultMaxFrameBytes   = 1 << 20
	DefaultMaxConcurrent   = 10
	DefaultMaxRequestBytes = 16 << 20
)

// PartialPolicy says what becomes of an answer that a Store warned of.
type PartialPolicy uint8

const (
	// RefusePartial makes it an error.
	RefusePartial PartialPolicy = iota
	// AcceptPartial sends it. Warnings are logged, and nobody else learns of
	// them.
	AcceptPartial
)

// Options of New. The zero value is ready for use.
type Options struct {
	// Partial says what becomes of an answer that the Store warned of.
	Partial PartialPolicy
	// MaxSamples bounds the samples of one sampled answer; a native histogram
	// counts as one. More is an error. 0 is DefaultMaxSamples.
	MaxSamples int64
	// MaxFrameBytes is the size in bytes that a frame of a streamed answer stays
	// below, unless a single chunk is larger. A series that takes more is sent in
	// several, which Prometheus' own client takes for several series. 0 is
	// DefaultMaxFrameBytes.
	MaxFrameBytes int
	// MaxConcurrent is how many requests are answered at once; others wait. 0 is
	// DefaultMaxConcurrent.
	MaxConcurrent int
	// MaxRequestBytes bounds a request, compressed and uncompressed. 0 is
	// DefaultMaxRequestBytes.
	MaxRequestBytes int64
	// Prepare, if not nil, may complete the request for the Store with what the
	// HTTP request says, such as a tenant. An error refuses it as invalid.
	Prepare func(r *http.Request, req *store.SeriesRequest) error

	// Logger logs requests that failed, and warnings that are not passed on; nil
	// is silent.
	Logger *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered. Handlers
	// that share one share them.
	Registerer prometheus.Registerer
}

// complete returns a copy with defaults filled in, and all problems joined.
func (o *Options) complete() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	if out.Partial > AcceptPartial {
		errs = append(errs, fmt.Errorf("option Partial: no policy %d", out.Partial))
	}
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"MaxSamples", out.MaxSamples}, {"MaxFrameBytes", int64(out.MaxFrameBytes)},
		{"MaxConcurrent", int64(out.MaxConcurrent)}, {"MaxRequestBytes", out.MaxRequestBytes},
	} {
		if n.v < 0 {
			errs = append(errs, fmt.Errorf("option %s: %d is negative", n.name, n.v))
		}
	}
	setDefault(&out.MaxSamples, DefaultMaxSamples)
	setDefault(&out.MaxFrameBytes, DefaultMaxFrameBytes)
	setDefault(&out.MaxConcurrent, DefaultMaxConcurrent)
	setDefault(&out.MaxRequestBytes, DefaultMaxRequestBytes)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, errors.Join(errs...)
}

func setDefault[N int | int64](n *N, d N) {
	if *n == 0 {
		*n = d
	}
}
