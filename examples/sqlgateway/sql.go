package main

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/model/labels"
)

// schema is what is where in a table, by names as the database has them.
type schema struct {
	Table       string
	Time, Value string
	// Labels are the columns by label name.
	Labels map[string]string
}

// table is a schema that was found in the database. Its columns ascend by label,
// as labels do in a label set.
type table struct {
	name        string
	time, value column
	columns     []column
}

// column is a column and what it is called in SQL. If it holds a label, that is
// text, compared byte by byte, whatever the column says.
type column struct{ label, name, expr string }

// openTable looks at a table, and for every column. What is in the database comes
// from there, quoted; no other name ever becomes a part of a query.
func openTable(ctx context.Context, db *sql.DB, s schema) (_ *table, err error) {
	if len(s.Labels) == 0 {
		return nil, fmt.Errorf("table %q: no label column given", s.Table)
	}
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+quote(s.Table)+" WHERE 1 = 0")
	if err != nil {
		return nil, fmt.Errorf("look at table %q: %w", s.Table, err)
	}
	defer errcapture.Do(&err, rows.Close, "close rows")
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("look at table %q: %w", s.Table, err)
	}
	var errs []error
	find := func(label, name string) column {
		i := slices.IndexFunc(types, func(t *sql.ColumnType) bool { return t.Name() == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("table %q has no column %q", s.Table, name))
			return column{}
		}
		c := column{label: label, name: name, expr: quote(name)}
		if label == "" {
			return c
		}
		if !isText(types[i].DatabaseTypeName()) {
			c.expr = "CAST(" + c.expr + " AS TEXT)" // which no index knows
		}
		c.expr += " COLLATE BINARY"
		return c
	}
	t := &table{name: s.Table, time: find("", s.Time), value: find("", s.Value)}
	for label, name := range s.Labels {
		t.columns = append(t.columns, find(label, name))
	}
	slices.SortFunc(t.columns, func(a, b column) int { return cmp.Compare(a.label, b.label) })
	return t, errors.Join(errs...)
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// isText reports whether a column of the declared type turns what is put into it
// into text.
func isText(declared string) bool {
	declared = strings.ToUpper(declared)
	return strings.Contains(declared, "CHAR") || strings.Contains(declared, "TEXT") || strings.Contains(declared, "CLOB")
}

// column returns the column of a label.
func (t *table) column(label string) (column, bool) {
	i, ok := slices.BinarySearchFunc(t.columns, label, func(c column, l string) int { return cmp.Compare(c.label, l) })
	if !ok {
		return column{}, false
	}
	return t.columns[i], true
}

// selection is the rows that a request wants, or more than those.
type selection struct {
	where string
	args  []any
	exact bool // no more than those
}

// selection returns what SQL can say about a request; !ok means that no row of
// the table will do.
func (t *table) selection(mint, maxt int64, ms []*labels.Matcher) (_ selection, ok bool) {
	s := selection{where: " FROM " + quote(t.name) + " WHERE " + t.time.expr + " BETWEEN ? AND ?", args: []any{mint, maxt}, exact: true}
	for _, m := range ms {
		c, exists := t.column(m.Name)
		if !exists {
			if !m.Matches("") {
				return selection{}, false
			}
			continue
		}
		values, negative, expressible := asSet(m)
		if !expressible {
			s.exact = false
			continue
		}
		s.where += " AND " + c.in(values, negative)
		for _, v := range values {
			s.args = append(s.args, v)
		}
	}
	return s, true
}

// maxSet is how many values are looked for in SQL, which has a limit for them.
const maxSet = 200

// asSet returns the values that a matcher is about, if it is about a set of them.
func asSet(m *labels.Matcher) (values []string, negative, ok bool) {
	switch m.Type {
	case labels.MatchEqual, labels.MatchNotEqual:
		return []string{m.Value}, m.Type == labels.MatchNotEqual, true
	case labels.MatchRegexp, labels.MatchNotRegexp:
		set := m.SetMatches()
		return set, m.Type == labels.MatchNotRegexp, len(set) > 0 && len(set) <= maxSet
	}
	return nil, false, false
}

// in is the condition that the label is one of the values, or none of them. That
// the label is missing, which is NULL or empty, is the value "".
func (c column) in(values []string, negative bool) string {
	op := " IN (?"
	if negative {
		op = " NOT IN (?"
	}
	list := c.expr + op + strings.Repeat(", ?", len(values)-1) + ")"
	if slices.Contains(values, "") != negative {
		return "(" + c.expr + " IS NULL OR " + list + ")"
	}
	return list // which is not true of NULL
}

// series is the query for the series of a selection, or their labels only,
// ascending by labels.Compare, and by time.
func (t *table) series(s selection, labelsOnly bool) string {
	var selected, order []string
	for i, c := range t.columns {
		selected = append(selected, fmt.Sprintf("COALESCE(%s, '') AS l%d", c.expr, i))
		// Of two label sets that are equal up to here, the one without this label
		// has another in its place, which is greater, or it has no more labels at
		// all, and is less.
		if rest := presence(i+1, len(t.columns)); rest != "" {
			order = append(order, fmt.Sprintf("CASE WHEN l%d <> '' THEN 1 WHEN %s THEN 2 ELSE 0 END", i, rest))
		}
		order = append(order, fmt.Sprintf("l%d", i))
	}
	if labelsOnly {
		return "SELECT * FROM (SELECT DISTINCT " + strings.Join(selected, ", ") + s.where + ") AS s ORDER BY " + strings.Join(order, ", ")
	}
	selected = append(selected, t.time.expr+" AS t", t.value.expr+" AS v")
	return "SELECT * FROM (SELECT " + strings.Join(selected, ", ") + s.where + ") AS s ORDER BY " + strings.Join(append(order, "t"), ", ")
}

// presence is the condition that there is one of the labels from one column to
// another, which is not included.
func presence(from, to int) string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("l%d <> ''", i))
	}
	return strings.Join(out, " OR ")
}

// values is the query for the values of a label in a selection, ascending; the
// first of them only if limit is not 0.
func (t *table) values(s selection, c column, limit int) string {
	query := "SELECT DISTINCT " + c.expr + " AS l" + s.where + " AND " + c.expr + " <> '' ORDER BY l"
	if limit > 0 {
		query += " LIMIT " + strconv.Itoa(limit)
	}
	return query
}

// bounds is the query for the time range of the table.
func (t *table) bounds() string {
	return "SELECT MIN(" + t.time.expr + "), MAX(" + t.time.expr + ") FROM " + quote(t.name)
}

// row is where a row of series is read to.
type row struct {
	dest   []any
	labels []sql.RawBytes
	time   int64
	value  sql.NullFloat64
}

func (t *table) newRow(labelsOnly bool) *row {
	r := &row{labels: make([]sql.RawBytes, len(t.columns))}
	for i := range r.labels {
		r.dest = append(r.dest, &r.labels[i])
	}
	if !labelsOnly {
		r.dest = append(r.dest, &r.time, &r.value)
	}
	return r
}

// sameLabels reports whether the row has the label values, of an earlier row.
func (r *row) sameLabels(values [][]byte) bool {
	return slices.EqualFunc(r.labels, values, func(a sql.RawBytes, b []byte) bool { return bytes.Equal(a, b) })
}

// copyLabels copies the label values into dst, which it returns.
func (r *row) copyLabels(dst [][]byte) [][]byte {
	if dst == nil {
		dst = make([][]byte, len(r.labels))
	}
	for i, v := range r.labels {
		dst[i] = append(dst[i][:0], v...)
	}
	return dst
}

// labels makes a label set of label values in the order of the columns.
func (t *table) labels(values [][]byte) labels.Labels {
	sb := labels.NewScratchBuilder(len(values))
	for i, v := range values {
		if len(v) > 0 {
			sb.Add(t.columns[i].label, string(v))
		}
	}
	return sb.Labels()
}
