package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sort"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

// replica is a Prometheus in this process: a TSDB, scrapes of its own /metrics
// over HTTP, and the endpoints that a sidecar reads.
type replica struct {
	external labels.Labels
	unit     *unit
	db       *tsdb.DB
}

const scrapeInterval = 5 * time.Second

// url is where it serves.
func (r *replica) url() string { return "http://" + r.unit.addr() }

// open opens the TSDB in the directory of the unit, and serves.
func (r *replica) open(u *unit) error {
	r.unit = u
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector())
	opts := tsdb.DefaultOptions()
	opts.MaxBlockDuration = opts.MinBlockDuration // The compactor compacts, Prometheus does not.
	opts.MaxBlockChunkSegmentSize = 1 << 20       // Blocks are small here, and so many replicas take room.
	db, err := tsdb.Open(u.dir, slog.New(slog.DiscardHandler), reg, opts, nil)
	if err != nil {
		return fmt.Errorf("open tsdb: %w", err)
	}
	u.onEnd(db.Close)
	if u.topology.steady {
		db.DisableCompactions()
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "prometheus_tsdb_lowest_timestamp_seconds",
		Help: "Lowest timestamp value stored in the database.",
	}, func() float64 {
		t, err := db.StartTime()
		if err != nil {
			return math.NaN()
		}
		return float64(t) / 1000
	}))
	r.db = db
	l, err := u.listen("")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: r.handler(db, reg), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	u.Go(func(context.Context) error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	u.Go(func(ctx context.Context) error {
		<-ctx.Done()
		return server.Close()
	})
	return nil
}

// run scrapes until the context ends, first an interval from now: there can be no
// two samples of one millisecond.
func (r *replica) run(ctx context.Context) error {
	tick := time.NewTicker(scrapeInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := r.scrape(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// scrape reads the replica's own /metrics over HTTP and appends what it says.
func (r *replica) scrape(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url()+"/metrics", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept-Encoding", "identity") // It is not far.
	now := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("scrape: %w", err)
	}
	defer resp.Body.Close()
	dec := expfmt.SampleDecoder{Dec: expfmt.NewDecoder(resp.Body, expfmt.ResponseFormat(resp.Header)), Opts: &expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}}
	all := model.Vector{{Metric: model.Metric{"__name__": "up"}, Value: 1}}
	for {
		var v model.Vector
		if err := dec.Decode(&v); err != nil {
			break // io.EOF, or a page cut short: what was read counts
		}
		all = append(all, v...)
	}
	for _, s := range all {
		s.Metric["job"], s.Metric["instance"] = "prometheus", "self"
	}
	return r.append(ctx, now, all)
}

func (r *replica) append(ctx context.Context, at time.Time, samples model.Vector) error {
	app := r.db.Appender(ctx)
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range samples {
		b.Reset(labels.EmptyLabels())
		for n, v := range s.Metric {
			b.Set(string(n), string(v))
		}
		if _, err := app.Append(0, b.Labels(), at.UnixMilli(), float64(s.Value)); err != nil {
			return errors.Join(err, app.Rollback())
		}
	}
	return app.Commit()
}

// handler serves what a sidecar reads of Prometheus' HTTP API.
func (r *replica) handler(db *tsdb.DB, reg *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.Handle("POST /api/v1/read", remote.NewReadHandler(slog.New(slog.DiscardHandler), nil, db, func() config.Config {
		return config.Config{GlobalConfig: config.GlobalConfig{ExternalLabels: r.external}}
	}, 5e7, 10, 1<<20))
	mux.HandleFunc("GET /api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"version": "3.9.1"})
	})
	mux.HandleFunc("GET /api/v1/status/config", func(w http.ResponseWriter, _ *http.Request) {
		yaml := "global:\n  external_labels:\n"
		r.external.Range(func(l labels.Label) { yaml += fmt.Sprintf("    %s: %q\n", l.Name, l.Value) })
		reply(w, map[string]string{"yaml": yaml})
	})
	mux.HandleFunc("/api/v1/series", func(w http.ResponseWriter, req *http.Request) { labelsOf(w, req, db, seriesOf) })
	mux.HandleFunc("/api/v1/labels", func(w http.ResponseWriter, req *http.Request) { labelsOf(w, req, db, labelNamesOf) })
	mux.HandleFunc("GET /api/v1/label/{name}/values", func(w http.ResponseWriter, req *http.Request) {
		name := req.PathValue("name")
		labelsOf(w, req, db, func(ls labels.Labels, add func(string, any)) {
			if v := ls.Get(name); v != "" {
				add(v, v)
			}
		})
	})
	return mux
}

func seriesOf(ls labels.Labels, add func(string, any)) { add(ls.String(), ls.Map()) }

func labelNamesOf(ls labels.Labels, add func(string, any)) {
	ls.Range(func(l labels.Label) { add(l.Name, l.Name) })
}

// labelsOf answers the label APIs: what each makes of every matching series,
// once, in order.
func labelsOf(w http.ResponseWriter, req *http.Request, db *tsdb.DB, of func(ls labels.Labels, add func(key string, v any))) {
	found := map[string]any{}
	if err := eachSeries(req, db, func(ls labels.Labels) { of(ls, func(k string, v any) { found[k] = v }) }); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": err.Error()})
		return
	}
	keys := make([]string, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := make([]any, 0, len(keys))
	for _, k := range keys {
		out = append(out, found[k])
	}
	reply(w, out)
}

func eachSeries(req *http.Request, db *tsdb.DB, f func(labels.Labels)) error {
	if err := req.ParseForm(); err != nil {
		return err
	}
	var bounds [2]int64
	for i, name := range []string{"start", "end"} {
		at, err := time.Parse(time.RFC3339Nano, req.Form.Get(name))
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		bounds[i] = at.UnixMilli()
	}
	q, err := db.Querier(bounds[0], bounds[1])
	if err != nil {
		return err
	}
	defer q.Close()
	selectors := req.Form["match[]"]
	if len(selectors) == 0 {
		selectors = []string{`{__name__!=""}`}
	}
	for _, sel := range selectors {
		ms, err := parse.MetricSelector(sel)
		if err != nil {
			return err
		}
		set := q.Select(req.Context(), true, nil, ms...)
		for set.Next() {
			f(set.At().Labels())
		}
		if err := set.Err(); err != nil {
			return err
		}
	}
	return nil
}

func reply(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}
