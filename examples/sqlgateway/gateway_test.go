package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
)

func execute(t testing.TB, statements string, args ...any) func(*sql.DB) error {
	return func(db *sql.DB) error {
		_, err := db.ExecContext(t.Context(), statements, args...)
		return err
	}
}

// newDatabase returns an empty database.
func newDatabase(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	return db
}

// newGateway returns a gateway to the table "s" that statements make: columns t
// and v, and the columns of labels.
func newGateway(t testing.TB, db *sql.DB, columns map[string]string, statements string) *gateway {
	t.Helper()
	testutil.Ok(t, execute(t, statements)(db))
	tab, err := openTable(t.Context(), db, schema{Table: "s", Time: "t", Value: "v", Labels: columns})
	testutil.Ok(t, err)
	return &gateway{db, *tab}
}

// same maps labels to columns of the same name.
func same(names ...string) map[string]string {
	out := map[string]string{}
	for _, n := range names {
		out[n] = n
	}
	return out
}

// TestConformance runs the kit over its fixture in a table with a column for each
// label name there is.
func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			return store.Wrap(load(t, f.Series()), store.WithExternalLabels(f.ExternalLabels()))
		},
		Lacks: map[storetest.Feature]string{
			storetest.DownsampledData:  "rows are raw samples",
			storetest.NativeHistograms: "a value is a number",
			storetest.CustomBuckets:    "a value is a number",
		},
	})
}

// load makes a table of series.
func load(t testing.TB, series []*store.Series) *gateway {
	t.Helper()
	var names []string
	for _, s := range series {
		s.Labels.Range(func(l labels.Label) { names = append(names, l.Name) })
	}
	slices.Sort(names)
	names = slices.Compact(names)
	// Names of columns are the same if they differ in case only, those of labels are
	// not. A column without a type keeps whatever number it is given.
	columns := map[string]string{}
	create := "CREATE TABLE s ("
	for i, n := range names {
		columns[n] = fmt.Sprintf("%s %d", n, i)
		create += quote(columns[n]) + " TEXT, "
	}
	db := newDatabase(t)
	g := newGateway(t, db, columns, create+"t INTEGER, v)")
	tx, err := db.BeginTx(t.Context(), nil)
	testutil.Ok(t, err)
	insert, err := tx.PrepareContext(t.Context(), "INSERT INTO s VALUES (?"+strings.Repeat(", ?", len(names)+1)+")")
	testutil.Ok(t, err)
	for _, s := range series {
		row := make([]any, len(names)+2)
		for i, n := range names {
			if v := s.Labels.Get(n); v != "" {
				row[i] = v
			}
		}
		for _, x := range samples(t, s) {
			row[len(names)], row[len(names)+1] = x.t, databaseValue(x.v)
			_, err := insert.ExecContext(t.Context(), row...)
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, insert.Close())
	testutil.Ok(t, tx.Commit())
	return g
}

// databaseValue is a value as SQLite can keep it.
func databaseValue(v float64) any {
	switch {
	case value.IsStaleNaN(v):
		return nil
	case math.IsNaN(v):
		return "NaN" // which would be NULL as a number
	}
	return v
}

type sample struct {
	t int64
	v float64
}

func samples(t testing.TB, s *store.Series) (out []sample) {
	t.Helper()
	for _, c := range s.Chunks {
		data, err := c.Raw.Chunk()
		testutil.Ok(t, err)
		it := data.Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			ts, v := it.At()
			out = append(out, sample{ts, v})
		}
		testutil.Ok(t, it.Err())
	}
	return out
}

// answers shows the answers to a request, samples and all; parts of a series are
// put together.
func answers(t testing.TB, s store.Store, req *store.SeriesRequest) (out []string) {
	t.Helper()
	var last labels.Labels
	for series, err := range store.All(t.Context(), s, req, nil) {
		testutil.Ok(t, err)
		if len(out) == 0 || !labels.Equal(last, series.Labels) {
			out = append(out, series.Labels.String())
		}
		last = series.Labels
		for _, x := range samples(t, series) {
			if x.t >= req.MinTime && x.t <= req.MaxTime {
				out[len(out)-1] += fmt.Sprintf(" %v@%d", x.v, x.t)
			}
		}
	}
	return out
}

// truth is the rows of a table as samples of value 1.
type truth []struct {
	labels labels.Labels
	t      int64
}

// series answers a request as answers shows it.
func (x truth) series(req *store.SeriesRequest) (out []string) {
	samples := map[string][]int64{}
	lsets := map[string]labels.Labels{}
	for _, r := range x {
		if r.t >= req.MinTime && r.t <= req.MaxTime && req.Matches(r.labels) {
			samples[r.labels.String()] = append(samples[r.labels.String()], r.t)
			lsets[r.labels.String()] = r.labels
		}
	}
	for _, lset := range slices.SortedFunc(maps.Values(lsets), labels.Compare) {
		line := lset.String()
		slices.Sort(samples[line])
		for _, t := range samples[lset.String()] {
			if !req.SkipChunks {
				line += fmt.Sprintf(" 1@%d", t)
			}
		}
		if out = append(out, line); len(out) == req.Limit {
			break
		}
	}
	return out
}

// Random tables, of text and of numbers, answer random requests as their rows
// say: order, NULL and empty labels, matchers of all kinds, labels.
func TestRandomTables(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	names := []string{"__name__", "a", "b", "c"}
	db := newDatabase(t)
	for round := range 15 {
		typ := []string{"TEXT", "", "INTEGER", "TEXT COLLATE NOCASE", "VARCHAR(9) COLLATE RTRIM"}[round%5]
		testutil.Ok(t, execute(t, "DROP TABLE IF EXISTS s")(db))
		g := newGateway(t, db, same(names...), fmt.Sprintf("CREATE TABLE s (b %[1]s, t INTEGER, a %[1]s, v REAL, __name__ %[1]s, c %[1]s)", typ))
		rows := fill(t, r, db, names, typ)
		derived := store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			for _, x := range rows {
				if x.t >= req.MinTime && x.t <= req.MaxTime && req.Matches(x.labels) {
					if err := w.Send(&store.Series{Labels: x.labels}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		for range 40 {
			req := &store.SeriesRequest{MinTime: int64(r.Intn(500)), MaxTime: int64(500 + r.Intn(600)), SkipChunks: r.Intn(3) == 0, Limit: r.Intn(4) * 5}
			for range r.Intn(3) {
				req.Matchers = append(req.Matchers, randomMatcher(r))
			}
			testutil.Equals(t, rows.series(req), answers(t, g, req), "%s, %s", req, typ)

			values := &store.LabelValuesRequest{Label: append(names, "none")[r.Intn(5)], MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Limit: r.Intn(3)}
			want, err := store.LabelValues(t.Context(), derived, values)
			testutil.Ok(t, err)
			got, err := store.LabelValues(t.Context(), g, values)
			testutil.Ok(t, err)
			testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(got), "values of %s, %s, %s", values.Label, req, typ)

			all := &store.LabelNamesRequest{MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Limit: r.Intn(3)}
			want, err = store.LabelNames(t.Context(), derived, all)
			testutil.Ok(t, err)
			got, err = store.LabelNames(t.Context(), g, all)
			testutil.Ok(t, err)
			testutil.Equals(t, fmt.Sprint(want), fmt.Sprint(got), "names, %s, %s", req, typ)
		}
	}
}

// fill adds rows to a table whose label columns are of a type.
func fill(t *testing.T, r *rand.Rand, db *sql.DB, names []string, typ string) (out truth) {
	tx, err := db.BeginTx(t.Context(), nil)
	testutil.Ok(t, err)
	for i := range 60 {
		b := labels.NewBuilder(labels.EmptyLabels())
		args := []any{int64(r.Intn(10)*100 + i)} // no two at a time
		for _, n := range names {
			v := any([]string{"x", "X", "y", "10", "9", "ä", " ", "x'\";--"}[r.Intn(8)])
			if typ != "TEXT" && r.Intn(3) == 0 {
				v = int64(r.Intn(20))
			}
			if r.Intn(3) == 0 {
				v = []any{nil, ""}[r.Intn(2)]
			}
			if v != nil {
				b.Set(n, fmt.Sprint(v))
			}
			args = append(args, v)
		}
		_, err := tx.ExecContext(t.Context(), "INSERT INTO s (t, __name__, a, b, c, v) VALUES (?, ?, ?, ?, ?, 1)", args...)
		testutil.Ok(t, err)
		out = append(out, truth{{b.Labels(), args[0].(int64)}}...)
	}
	testutil.Ok(t, tx.Commit())
	return out
}

func randomMatcher(r *rand.Rand) *labels.Matcher {
	name := []string{"__name__", "a", "b", "c", "none"}[r.Intn(5)]
	typ := labels.MatchType(r.Intn(4))
	values := []string{"x", "X", "y", "10", "010", "", "ä", "x'\";--"}
	if typ == labels.MatchRegexp || typ == labels.MatchNotRegexp {
		values = []string{"x|y", "x|", "", "(?i)x", ".*", ".+", "1.*", "9|10|x'\";--", "[xy]", "09", "x|.*"}
	}
	return labels.MustNewMatcher(typ, name, values[r.Intn(len(values))])
}

// What SQL can say exactly is said in SQL.
func TestPushedDown(t *testing.T) {
	g := newGateway(t, newDatabase(t), same("a"), "CREATE TABLE s (a TEXT, t INTEGER, v REAL)")
	for _, tc := range []struct {
		m     *labels.Matcher
		where string
		exact bool
	}{
		{labels.MustNewMatcher(labels.MatchEqual, "a", "x"), ` AND "a" COLLATE BINARY IN (?)`, true},
		{labels.MustNewMatcher(labels.MatchEqual, "a", ""), ` AND ("a" COLLATE BINARY IS NULL OR "a" COLLATE BINARY IN (?))`, true},
		{labels.MustNewMatcher(labels.MatchNotEqual, "a", "x"), ` AND ("a" COLLATE BINARY IS NULL OR "a" COLLATE BINARY NOT IN (?))`, true},
		{labels.MustNewMatcher(labels.MatchNotEqual, "a", ""), ` AND "a" COLLATE BINARY NOT IN (?)`, true},
		{labels.MustNewMatcher(labels.MatchRegexp, "a", "x|y"), ` AND "a" COLLATE BINARY IN (?, ?)`, true},
		{labels.MustNewMatcher(labels.MatchNotRegexp, "a", "x|y"), ` AND ("a" COLLATE BINARY IS NULL OR "a" COLLATE BINARY NOT IN (?, ?))`, true},
		{labels.MustNewMatcher(labels.MatchRegexp, "a", "x.*"), ``, false},
		{labels.MustNewMatcher(labels.MatchRegexp, "a", numbers(maxSet+1)), ``, false},
		{labels.MustNewMatcher(labels.MatchEqual, "none", ""), ``, true},
	} {
		sel, ok := g.selection(1, 2, []*labels.Matcher{tc.m})
		testutil.Assert(t, ok, tc.m.String())
		testutil.Equals(t, ` FROM "s" WHERE "t" BETWEEN ? AND ?`+tc.where, sel.where, tc.m.String())
		testutil.Equals(t, tc.exact, sel.exact, tc.m.String())
	}
	_, ok := g.selection(1, 2, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "none", "x")})
	testutil.Assert(t, !ok)
}

// An index over labels is used.
func TestIndex(t *testing.T) {
	db := newDatabase(t)
	testutil.Ok(t, demo(t.Context(), db, time.UnixMilli(1_700_000_000_000)))
	tab, err := openTable(t.Context(), db, demoSchema())
	testutil.Ok(t, err)
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "power_watts"),
		labels.MustNewMatcher(labels.MatchRegexp, "__name__", "power_watts|temperature_celsius"),
	} {
		sel, ok := tab.selection(1, 2, []*labels.Matcher{m})
		testutil.Assert(t, ok)
		rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+tab.series(sel, false), sel.args...)
		testutil.Ok(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			testutil.Ok(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		testutil.Ok(t, errors.Join(rows.Err(), rows.Close()))
		testutil.Assert(t, slices.ContainsFunc(plan, func(s string) bool { return strings.Contains(s, "USING INDEX by_labels (metric=") }), "%q", plan)
	}
}

func numbers(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return strings.Join(out, "|")
}

// Names are what they are in the database, or are refused, and never SQL.
func TestIdentifiers(t *testing.T) {
	db := newDatabase(t)
	const weird = `t"; DROP TABLE s; --`
	testutil.Ok(t, execute(t, "CREATE TABLE "+quote(weird)+" ("+quote(weird)+" INTEGER, v REAL, "+quote("l'\"")+" TEXT)")(db))
	testutil.Ok(t, execute(t, "INSERT INTO "+quote(weird)+" VALUES (1, 2, 'x')")(db))
	tab, err := openTable(t.Context(), db, schema{Table: weird, Time: weird, Value: "v", Labels: map[string]string{"größe": "l'\""}})
	testutil.Ok(t, err)
	g := &gateway{db, *tab}
	testutil.Equals(t, []string{`{"größe"="x"} 2@1`}, answers(t, g, &store.SeriesRequest{MaxTime: 5}))
	info, err := g.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []int64{1, 1}, []int64{info.MinTime, info.MaxTime})

	// Two that are wrong are both named. SQLite itself takes a column that is not
	// there for text.
	_, err = openTable(t.Context(), db, schema{Table: weird, Time: "none", Value: "v", Labels: map[string]string{"a": "v OR 1=1"}})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), `no column "none"`) && strings.Contains(err.Error(), `no column "v OR 1=1"`), "%v", err)
	_, err = openTable(t.Context(), db, schema{Table: weird + "x", Time: "t", Value: "v", Labels: map[string]string{"a": "a"}})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "look at table"), "%v", err)
	_, err = openTable(t.Context(), db, schema{Table: weird, Time: weird, Value: "v"})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "no label column"), "%v", err)
}

// Errors say where in the table they come from.
func TestBadRows(t *testing.T) {
	for _, tc := range []struct{ name, insert, want string }{
		{"two at a time", "('x', 1, 1), ('x', 1, 2)", `table "s", column "t": series {a="x"}: encode samples: time 1 follows 1`},
		{"value", "('x', 1, 'warm')", `read table "s": sql: Scan error on column index 2, name "v"`},
		{"time", "('x', 1.5, 1)", `read table "s": sql: Scan error on column index 1, name "t"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGateway(t, newDatabase(t), same("a"), "CREATE TABLE s (a TEXT, t INTEGER, v); INSERT INTO s VALUES "+tc.insert)
			err := g.Series(t.Context(), &store.SeriesRequest{MaxTime: 5}, discard{})
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%v", err)
		})
	}
	db := newDatabase(t)
	g := newGateway(t, db, same("a"), "CREATE TABLE s (a TEXT, t INTEGER, v)")
	testutil.Ok(t, execute(t, "DROP TABLE s")(db))
	_, names := g.LabelNames(t.Context(), &store.LabelNamesRequest{})
	_, values := g.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "a"})
	_, info := g.Describe(t.Context())
	for _, err := range []error{g.Series(t.Context(), &store.SeriesRequest{}, discard{}), names, values, info} {
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), `read table "s"`), "%v", err)
	}
}

// An empty table announces an empty range; NULL is a stale marker as a value, and
// no row at all as a time.
func TestNulls(t *testing.T) {
	db := newDatabase(t)
	g := newGateway(t, db, same("a"), "CREATE TABLE s (a TEXT, t INTEGER, v REAL)")
	info, err := g.Describe(t.Context())
	testutil.Ok(t, err)
	ok, _ := info.MayHold(math.MinInt64, math.MaxInt64, nil)
	testutil.Assert(t, !ok || info.MinTime > info.MaxTime)

	testutil.Ok(t, execute(t, "INSERT INTO s VALUES (NULL, 1, NULL), ('', 2, 5), ('x', NULL, 1)")(db))
	var got []*store.Series
	for s, err := range store.All(t.Context(), g, &store.SeriesRequest{MaxTime: 5}, nil) {
		testutil.Ok(t, err)
		got = append(got, s)
	}
	testutil.Equals(t, 1, len(got))
	testutil.Assert(t, got[0].Labels.IsEmpty())
	x := samples(t, got[0])
	testutil.Assert(t, value.IsStaleNaN(x[0].v) && x[1].v == 5)
}

// A long series goes out in parts, which are cut where its chunks are.
func TestParts(t *testing.T) {
	g := newGateway(t, newDatabase(t), same("a"), `CREATE TABLE s (a TEXT, t INTEGER, v REAL);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO s SELECT 'x', i, i FROM n`)
	var chunks, sends, total int
	for s, err := range store.All(t.Context(), g, &store.SeriesRequest{MaxTime: 1 << 60}, nil) {
		testutil.Ok(t, err)
		sends++
		chunks += len(s.Chunks)
		for _, x := range samples(t, s) {
			testutil.Equals(t, int64(total), x.t)
			total++
		}
	}
	testutil.Equals(t, 20001, total)
	testutil.Equals(t, (20001+119)/120, chunks)
	testutil.Equals(t, (20001+samplesPerSend-1)/samplesPerSend, sends)
}

// The end of the context ends the call as that.
func TestCanceled(t *testing.T) {
	g := newGateway(t, newDatabase(t), same("a"), "CREATE TABLE s (a TEXT, t INTEGER, v REAL); INSERT INTO s VALUES ('x', 1, 1), ('y', 1, 1)")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testutil.Assert(t, errors.Is(g.Series(ctx, &store.SeriesRequest{MaxTime: 5}, discard{}), context.Canceled))
	_, err := g.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 5})
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	_, err = g.Describe(ctx)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}
