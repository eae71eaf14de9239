package promstore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/efficientgo/core/backoff"
	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// maxMetaBytes bounds what is read of each of the endpoints that Sync asks.
const maxMetaBytes = 64 << 20

// minRetry is the time after which Run tries again, the first time.
const minRetry = time.Second

// state is what Syncs have found. It is not changed, but replaced.
type state struct {
	// err is why the last Sync failed; nil if it did not.
	err error
	// The rest is of the last Sync that succeeded.
	synced   bool
	external labels.Labels
	version  version
	lowest   int64
	// store is the reader with the external labels.
	store store.Store
}

// Run keeps the Store up to date: it Syncs at once and then every
// Options.Interval, or sooner after a failure, and logs failures and changes.
// It returns nil when the context ends. Run it once.
func (s *Store) Run(ctx context.Context) error {
	retry := backoff.New(ctx, backoff.Config{Min: min(minRetry, s.opts.Interval), Max: s.opts.Interval})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		before := s.state.Load()
		wait := s.opts.Interval
		if err := s.Sync(ctx); err == nil {
			retry.Reset()
		} else if ctx.Err() == nil {
			wait = retry.NextDelay()
		}
		s.logChange(before, s.state.Load())
		timer.Reset(wait)
	}
}

func (s *Store) logChange(before, after *state) {
	log := s.opts.Logger
	switch {
	case before == after: // the context ended
	case after.err != nil:
		log.Warn("sync with Prometheus failed", "store", s.opts.Name, "err", after.err)
	case !before.synced || !labels.Equal(before.external, after.external) || before.version != after.version:
		log.Info("synced with Prometheus", "store", s.opts.Name,
			"external_labels", after.external.String(), "version", after.version.text)
	case before.err != nil:
		log.Info("sync with Prometheus succeeds again", "store", s.opts.Name)
	}
}

// Sync reads Prometheus' external labels, version and lowest timestamp, once.
// Until it has succeeded the Store refuses every call; when it fails later,
// Describe reports the failure and other calls go on with what was known.
//
// Errors: ErrNoExternalLabels, after which the Store refuses calls until there
// are some; else those of the package, in a *store.Error. When the context ends
// nothing is concluded about Prometheus.
//
// Concurrency: safe; one Sync runs at a time.
func (s *Store) Sync(ctx context.Context) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	next, err := s.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		return s.fail("info", ctx.Err())
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) { // ours: Prometheus was too slow
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		failed := *s.state.Load()
		if errors.Is(err, ErrNoExternalLabels) { // under the old ones, series would be another's
			failed = state{}
		}
		failed.err = s.fail("info", err)
		s.state.Store(&failed)
		s.metrics.up.Set(0)
		s.metrics.syncErrors.Inc()
		return failed.err
	}
	s.state.Store(next)
	s.metrics.up.Set(1)
	s.metrics.heartbeat.SetToCurrentTime()
	return nil
}

// fetch makes the next state.
func (s *Store) fetch(ctx context.Context) (_ *state, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	next := &state{synced: true}
	if next.external, err = s.fetchExternalLabels(ctx); err != nil {
		return nil, err
	}
	if next.external.IsEmpty() && !s.opts.AllowNoExternalLabels {
		return nil, ErrNoExternalLabels
	}
	if next.version, err = s.fetchVersion(ctx); err != nil {
		return nil, err
	}
	if next.lowest, err = s.fetchLowestTimestamp(ctx); err != nil {
		return nil, err
	}
	if last := s.state.Load(); last.synced && labels.Equal(last.external, next.external) && last.version == next.version {
		next.store = last.store
	} else {
		next.store = store.Wrap(newReader(s, next), store.WithExternalLabels(next.external))
	}
	return next, nil
}

// fetchExternalLabels reads the external labels off the configuration that is
// loaded, in which variables are expanded. Those without a value are left out:
// they are no labels.
func (s *Store) fetchExternalLabels(ctx context.Context) (labels.Labels, error) {
	var data struct {
		YAML string `json:"yaml"`
	}
	if err := s.fetchJSON(ctx, configEndpoint, &data); err != nil {
		return labels.EmptyLabels(), err
	}
	var cfg struct {
		Global struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
	}
	if err := yaml.Unmarshal([]byte(data.YAML), &cfg); err != nil {
		return labels.EmptyLabels(), fmt.Errorf("%w: configuration in %s: %w", store.ErrMalformed, configEndpoint, err)
	}
	return labels.FromMap(cfg.Global.ExternalLabels).WithoutEmpty(), nil
}

func (s *Store) fetchVersion(ctx context.Context) (version, error) {
	var data struct {
		Version string `json:"version"`
	}
	if err := s.fetchJSON(ctx, buildInfoEndpoint, &data); err != nil {
		return version{}, err
	}
	return parseVersion(data.Version), nil
}

// fetchJSON reads the data of an answer in the envelope of Prometheus' API.
func (s *Store) fetchJSON(ctx context.Context, endpoint string, data any) (err error) {
	resp, err := s.http.Do(ctx, &promapi.Call{Method: http.MethodGet, Endpoint: endpoint, MaxBytes: maxMetaBytes})
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, resp.Finish, "close answer")
	_, err = promapi.Decode(resp, func(dec *json.Decoder) error { return dec.Decode(data) })
	return err
}

// fetchLowestTimestamp returns the time before which Prometheus has no data, in
// milliseconds. A TSDB without data says MaxInt64, which becomes MinInt64: it
// may get data of any time.
func (s *Store) fetchLowestTimestamp(ctx context.Context) (_ int64, err error) {
	resp, err := s.http.Do(ctx, &promapi.Call{
		Method: http.MethodGet, Endpoint: metricsEndpoint, MaxBytes: maxMetaBytes,
		Header: http.Header{"Accept": {"text/plain;version=0.0.4"}},
	})
	if err != nil {
		return 0, err
	}
	defer errcapture.Do(&err, resp.Finish, "close answer")
	if t, _ := resp.ContentType(); t != "text/plain" && t != "application/openmetrics-text" {
		return 0, resp.WrongType()
	}
	return parseLowestTimestamp(resp)
}

const (
	lowestTimestamp = "prometheus_tsdb_lowest_timestamp_seconds"
	// maxLineBytes is more than any line of an exposition has.
	maxLineBytes = 1 << 20
)

// parseLowestTimestamp finds the gauge in the text exposition format.
func parseLowestTimestamp(r io.Reader) (int64, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), lowestTimestamp)
		if !ok || rest == "" || !strings.ContainsRune(" \t{", rune(rest[0])) {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			continue
		}
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", store.ErrMalformed, lowestTimestamp, err)
		}
		return millis(seconds), nil
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return 0, fmt.Errorf("%w: %s: %w", store.ErrMalformed, metricsEndpoint, err)
	case err != nil:
		return 0, err
	}
	return 0, fmt.Errorf("%w: %s has no %s", store.ErrMalformed, metricsEndpoint, lowestTimestamp)
}

// millis rounds seconds down to milliseconds.
func millis(seconds float64) int64 {
	switch ms := math.Floor(seconds * 1000); {
	case math.IsNaN(ms) || ms >= math.MaxInt64 || ms <= math.MinInt64:
		return math.MinInt64
	default:
		return int64(ms)
	}
}
