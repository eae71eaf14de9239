package main

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/store"
)

// gateway is a table as a Store. External labels, replica labels, sharding,
// limits, batches and the protocol are thanoskit's business.
type gateway struct {
	db *sql.DB
	table
}

var (
	_ store.LabelQuerier = (*gateway)(nil)
	_ store.Describer    = (*gateway)(nil)
)

// samplesPerSend is how many samples of a series are held before they are sent.
const samplesPerSend = 50 * store.SamplesPerChunk

// Series sends the rows in the database's order, which is that of labels.Compare.
func (g *gateway) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	sel, ok := g.selection(req.MinTime, req.MaxTime, req.Matchers)
	if !ok {
		return nil
	}
	rows, err := g.db.QueryContext(ctx, g.series(sel, req.SkipChunks), sel.args...)
	if err != nil {
		return g.error(ctx, err)
	}
	defer errcapture.Do(&err, rows.Close, "close rows")

	row := g.newRow(req.SkipChunks)
	out := answer{table: &g.table, req: req, w: w}
	for rows.Next() {
		if err := rows.Scan(row.dest...); err != nil {
			return g.error(ctx, err)
		}
		if err := out.add(row); err != nil || out.done {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return g.error(ctx, err)
	}
	return out.flush()
}

// answer makes series of rows.
type answer struct {
	table *table
	req   *store.SeriesRequest
	w     store.SeriesWriter

	last   [][]byte      // label values of the last row
	labels labels.Labels // of the series that they make
	wanted bool          // whether all matchers match it
	ts     []int64
	vs     []float64

	sent int  // series begun that are wanted
	done bool // there are as many as were asked for
}

func (a *answer) add(r *row) error {
	if !r.sameLabels(a.last) {
		if err := a.flush(); err != nil {
			return err
		}
		a.last = r.copyLabels(a.last)
		a.labels = a.table.labels(a.last)
		if a.wanted = a.req.Matches(a.labels); a.wanted {
			a.done = a.req.Limit > 0 && a.sent == a.req.Limit
			a.sent++
		}
	}
	switch {
	case !a.wanted || a.done:
		return nil
	case a.req.SkipChunks:
		return a.w.Send(&store.Series{Labels: a.labels})
	}
	v := r.value.Float64
	if !r.value.Valid {
		v = math.Float64frombits(value.StaleNaN)
	}
	a.ts, a.vs = append(a.ts, r.time), append(a.vs, v)
	if len(a.ts) < samplesPerSend {
		return nil
	}
	return a.flush()
}

// flush sends the samples that are held, as a series or its next part.
func (a *answer) flush() error {
	if len(a.ts) == 0 {
		return nil
	}
	chunks, err := store.FloatChunks(a.ts, a.vs)
	if err != nil {
		return fmt.Errorf("table %q, column %q: series %s: %w", a.table.name, a.table.time.name, a.labels, err)
	}
	a.ts, a.vs = a.ts[:0], a.vs[:0]
	return a.w.Send(&store.Series{Labels: a.labels, Chunks: chunks})
}

// LabelNames asks for one row for each label column.
func (g *gateway) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	sel, ok := g.selection(req.MinTime, req.MaxTime, req.Matchers)
	if !ok {
		return nil, nil
	}
	if !sel.exact {
		return store.LabelNames(ctx, store.Func(g.Series), req)
	}
	var names []string
	for _, c := range g.columns {
		if req.Limit > 0 && len(names) == req.Limit {
			break
		}
		values, err := g.strings(ctx, g.values(sel, c, 1), sel.args)
		if err != nil {
			return nil, err
		}
		if len(values) > 0 {
			names = append(names, c.label)
		}
	}
	return names, nil
}

// LabelValues asks for the distinct values of a column.
func (g *gateway) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	sel, ok := g.selection(req.MinTime, req.MaxTime, req.Matchers)
	c, exists := g.column(req.Label)
	if !ok || !exists {
		return nil, nil
	}
	if !sel.exact {
		return store.LabelValues(ctx, store.Func(g.Series), req)
	}
	return g.strings(ctx, g.values(sel, c, req.Limit), sel.args)
}

// strings returns the only column of an answer.
func (g *gateway) strings(ctx context.Context, query string, args []any) (out []string, err error) {
	rows, err := g.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, g.error(ctx, err)
	}
	defer errcapture.Do(&err, rows.Close, "close rows")
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, g.error(ctx, err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, g.error(ctx, err)
	}
	return out, nil
}

// Describe announces the time range of the table. While it is empty, so is the
// range, and nobody asks.
func (g *gateway) Describe(ctx context.Context) (store.Info, error) {
	var mint, maxt sql.NullInt64
	if err := g.db.QueryRowContext(ctx, g.bounds()).Scan(&mint, &maxt); err != nil {
		return store.Info{}, g.error(ctx, err)
	}
	if !mint.Valid {
		return store.Info{MinTime: math.MaxInt64, MaxTime: math.MinInt64}, nil
	}
	return store.Info{MinTime: mint.Int64, MaxTime: maxt.Int64}, nil
}

// error names the table. database/sql names the column that it cannot read.
func (g *gateway) error(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil { // whatever the driver makes of it
		err = cause
	}
	return fmt.Errorf("read table %q: %w", g.name, err)
}
