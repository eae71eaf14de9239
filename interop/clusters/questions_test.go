package clusters

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
)

// question is one to the top querier.
type question struct {
	name   string
	path   string // below /api/v1/
	params url.Values
	lines  int    // of a right answer
	each   string // what each value of a right answer is, if not empty
	// steady is one whose answer is the same before and after compaction.
	steady bool
}

func (q *question) String() string { return q.name + ": " + q.path + "?" + q.params.Encode() }

// answer is what somebody said to a question.
type answer struct {
	text     string   // a line for each series, label or value, sorted
	values   []string // of samples
	warnings []string
}

// lines are those of the text.
func (a *answer) lines() []string {
	if a.text == "" {
		return nil
	}
	return strings.Split(a.text, "\n")
}

// whole is false if the answer says that it is partial.
func (a *answer) whole() bool { return len(a.warnings) == 0 }

// statusError is an answer that is an error.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d: %s", e.status, e.text) }

// ask asks a server, with further parameters. Errors: *statusError, those of HTTP.
func ask(ctx context.Context, addr string, q *question, more ...string) (*answer, error) {
	params := maps.Clone(q.params)
	for i := 0; i+1 < len(more); i += 2 {
		params.Set(more[i], more[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/api/v1/"+q.path+"?"+params.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode, string(body)}
	}
	return parse(body)
}

// parse reads the answers of all APIs.
func parse(body []byte) (*answer, error) {
	var envelope struct {
		Warnings, Infos []string
		Data            json.RawMessage
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, err
	}
	a := &answer{warnings: append(envelope.Warnings, envelope.Infos...)}
	if strings.HasPrefix(string(envelope.Data), "{") {
		var result promhttp.Answer
		if err := json.Unmarshal(body, &result); err != nil {
			return nil, err
		}
		_, a.text, _ = strings.Cut(result.Text(), "\n")
		for _, r := range result.Data.Result {
			for _, v := range append(r.Values, r.Value) {
				if v[1] != nil {
					a.values = append(a.values, v[1].(string))
				}
			}
		}
		return a, nil
	}
	var list []any
	if err := json.Unmarshal(envelope.Data, &list); err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, body)
	}
	var lines []string
	for _, x := range list {
		line, err := json.Marshal(x) // keys sorted
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	a.text = strings.Join(lines, "\n")
	return a, nil
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// questions are those that are asked in every position. All have at least one
// cluster that each part serves.
func (w *world) questions() []question {
	c := w.calendar
	var out []question
	ranged := func(name, expr string, from, to time.Time, step time.Duration, lines int, more ...string) *question {
		p := url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {strconv.Itoa(int(step.Seconds()))}}
		for i := 0; i+1 < len(more); i += 2 {
			p.Set(more[i], more[i+1])
		}
		out = append(out, question{name: name, path: "query_range", params: p, lines: lines})
		return &out[len(out)-1]
	}
	instant := func(name, expr string, at time.Time, lines int, more ...string) *question {
		p := url.Values{"query": {expr}, "time": {unix(at)}}
		for i := 0; i+1 < len(more); i += 2 {
			p.Set(more[i], more[i+1])
		}
		out = append(out, question{name: name, path: "query", params: p, lines: lines})
		return &out[len(out)-1]
	}
	for _, dedup := range []string{"true", "false"} {
		for i, resolution := range []string{"1h", "5m", "0s"} {
			from, to := c.start.Add(time.Duration(i)*slot+day), c.start.Add(time.Duration(i+1)*slot-day)
			name := fmt.Sprintf("history, resolution %s, dedup %s", resolution, dedup)
			ranged(name, `orders_total`, from, to, 6*hour, 6, "max_source_resolution", resolution, "dedup", dedup)
			for _, expr := range []string{
				`sum by (cluster) (rate(orders_total[6h]))`,
				`max by (cluster) (max_over_time(queue_length[6h])) - min by (cluster) (min_over_time(queue_length[6h]))`,
				`avg by (cluster) (avg_over_time(queue_length[6h]))`,
			} {
				ranged(name, expr, from, to, 6*hour, 3, "max_source_resolution", resolution, "dedup", dedup)
			}
			ranged(name, `sum_over_time(open_shops[6h])`, from, to, 6*hour, 3, "max_source_resolution", resolution, "dedup", dedup).each = "720"
		}
		kept := c.end.Add(-slot + day)
		ranged("history, steady, dedup "+dedup, `sum by (cluster) (rate(steady_total[2h]))`, kept, c.end.Add(-day), 6*hour, 3, "max_source_resolution", "0s", "dedup", dedup).steady = dedup == "true"
		name := "history, all of it, dedup " + dedup
		ranged(name, `sum by (cluster) (rate(steady_total[6h]))`, c.start.Add(day), c.end, 6*hour, 3, "max_source_resolution", "1h", "dedup", dedup)
		ranged(name+", what has had its time", `{job="shop"}`, c.start.Add(day), c.end.Add(-slot-day), 6*hour, 0, "max_source_resolution", "0s", "dedup", dedup)

		name = "present, dedup " + dedup
		from, to := c.liveStart().Add(10*time.Minute), c.liveEnd.Add(-time.Minute)
		ranged(name, `orders_total{instance="shop-0"}`, from, to, scrapes, -1, "dedup", dedup)
		ranged(name, `sum by (cluster, replica) (rate(orders_total[5m]))`, from, to, scrapes, -1, "dedup", dedup)
		instant(name, `queue_length[30m]`, to, -1, "dedup", dedup)
		name = "scrapes, dedup " + dedup
		instant(name, `up`, w.scraped, -1, "dedup", dedup)
		instant(name, `count by (cluster, instance) (prometheus_tsdb_head_series)`, w.scraped, 6, "dedup", dedup)
	}
	return append(out, w.labelQuestions()...)
}

// labelQuestions are those of the label APIs and that for series.
func (w *world) labelQuestions() []question {
	c := w.calendar
	span := func(from, to time.Time, more ...string) url.Values {
		p := url.Values{"start": {unix(from)}, "end": {unix(to)}}
		for i := 0; i+1 < len(more); i += 2 {
			p.Add(more[i], more[i+1])
		}
		return p
	}
	return []question{
		{name: "names in history", path: "labels", params: span(c.start, c.end), lines: 4},
		{name: "names, present", path: "labels", params: span(c.liveStart(), c.liveEnd, "match[]", `queue_length`), lines: 5},
		{name: "names, scrapes", path: "labels", params: span(w.scraped.Add(-time.Minute), w.scraped, "match[]", "up"), lines: 5},
		{name: "values in history", path: "label/cluster/values", params: span(c.start, c.end), lines: 3},
		{name: "values, present", path: "label/instance/values", params: span(c.liveStart(), c.liveEnd, "match[]", `orders_total{cluster="us"}`), lines: 2},
		{name: "values, scrapes", path: "label/instance/values", params: span(w.scraped.Add(-time.Minute), w.scraped, "match[]", "up"), lines: 6},
		{name: "series in history", path: "series", params: span(c.start, c.end, "match[]", `orders_total`), lines: 6},
		{name: "series, present, dedup true", path: "series", params: span(c.liveStart(), c.liveEnd, "match[]", `{job="shop",cluster!="hub"}`, "dedup", "true"), lines: 10},
		{name: "series, scrapes, dedup false", path: "series", params: span(w.scraped.Add(-time.Minute), w.scraped, "match[]", `up`, "dedup", "false"), lines: 12},
	}
}

// awaitScrapes waits until every Prometheus has scraped both replicas of its cluster
// for some seconds, with an answer at a time before which nothing changes any more:
// where all are busy, one may take longer than a scrape may.
func (w *world) awaitScrapes() {
	w.Helper()
	const least = 3 * time.Second
	proc.Await(w, "scrapes", nil, proc.Patience, func(ctx context.Context) error {
		if w.scraped.IsZero() {
			w.scraped = time.Now().Add(least).Truncate(time.Second)
		}
		for _, p := range w.parts {
			if !strings.HasPrefix(p.name, "prometheus-") {
				continue
			}
			later := "min(timestamp(up)) > " + unix(w.scraped.Add(time.Second)) + " and count(up) == 2"
			if err := holds(ctx, p.http, later, time.Now()); err != nil {
				return err
			}
			if err := holds(ctx, p.http, "sum(up) == 2 and count(prometheus_tsdb_head_series) == 2", w.scraped); err != nil {
				w.scraped = time.Time{} // Another one.
				return err
			}
		}
		return nil
	})
}

// holds returns an error unless a condition in PromQL was true for a Prometheus.
func holds(ctx context.Context, addr, cond string, at time.Time) error {
	a, err := promhttp.Query(ctx, "http://"+addr, "query", map[string]string{"query": cond, "time": unix(at)})
	if err == nil && len(a.Data.Result) != 1 {
		err = fmt.Errorf("%s says no to %s", addr, cond)
	}
	return err
}
