package promstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// truncated is the warning with which Prometheus obeys a limit. Who set the
// limit knows, and under Abort a warning costs the whole answer.
//
// Source: series and label APIs in Prometheus' web/api/v1/api.go.
const truncated = "results truncated due to limit"

// decodeAPI reads an answer in the envelope of Prometheus' API, calling data
// where its data begins.
func decodeAPI(resp *response, data func(*json.Decoder) error) (warnings []error, err error) {
	if t, _ := resp.contentType(); t != "application/json" {
		return nil, resp.wrongType()
	}
	e := envelope{endpoint: resp.endpoint, data: data}
	if err := e.decode(json.NewDecoder(resp)); err != nil {
		if resp.err != nil { // the answer did not arrive, so that it does not parse
			return nil, resp.err
		}
		if _, ok := errors.AsType[*StatusError](err); ok || errors.Is(err, store.ErrMalformed) {
			return nil, err
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: answer of %s: %w", store.ErrMalformed, resp.endpoint, err)
	}
	for _, w := range e.warnings {
		if w != truncated {
			warnings = append(warnings, &Warning{Message: w})
		}
	}
	return warnings, nil
}

type envelope struct {
	endpoint string
	data     func(*json.Decoder) error

	status, errorType, message string
	warnings                   []string
	hasData                    bool
}

func (e *envelope) decode(dec *json.Decoder) error {
	if err := expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := e.field(dec, key); err != nil {
			return err
		}
	}
	if err := expect(dec, '}'); err != nil {
		return err
	}
	switch {
	case e.status == "error":
		return &StatusError{Endpoint: e.endpoint, Code: http.StatusOK, Type: e.errorType, Message: shorten(e.message, 4*maxExcerpt)}
	case e.status != "success":
		return fmt.Errorf("status %q", e.status)
	case !e.hasData:
		return errors.New("no data")
	}
	return nil
}

func (e *envelope) field(dec *json.Decoder, key json.Token) error {
	switch key {
	case "status":
		return dec.Decode(&e.status)
	case "data":
		e.hasData = true
		return e.data(dec)
	case "errorType":
		return dec.Decode(&e.errorType)
	case "error":
		return dec.Decode(&e.message)
	case "warnings":
		return dec.Decode(&e.warnings)
	default: // "infos" and what may come
		var skipped json.RawMessage
		return dec.Decode(&skipped)
	}
}

func expect(dec *json.Decoder, want json.Delim) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	if tok != want {
		return fmt.Errorf("%v instead of %v", tok, want)
	}
	return nil
}

// seriesAPI sends series without samples, as the API lists them.
func (r *reader) seriesAPI(ctx context.Context, req *store.SeriesRequest, out *sender) error {
	list, warnings, err := r.fetchSeries(ctx, req)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if req.Strategy == store.Abort {
			return w
		}
		if err := out.warn(w); err != nil {
			return err
		}
	}
	return list.send(req.Limit, out)
}

func (r *reader) fetchSeries(ctx context.Context, req *store.SeriesRequest) (list *labelSets, warnings []error, err error) {
	resp, err := r.s.http.do(ctx, &call{
		method: http.MethodPost, endpoint: seriesEndpoint,
		form:     form(req.Matchers, req.MinTime, req.MaxTime, req.Limit),
		maxBytes: r.s.opts.MaxResponseBytes, received: r.s.metrics.received.WithLabelValues("series"),
	})
	if err != nil {
		return nil, nil, err
	}
	defer errcapture.Do(&err, resp.finish, "close answer")
	list = &labelSets{}
	warnings, err = decodeAPI(resp, list.decodeJSON)
	return list, warnings, err
}

// labelSets collects label sets in canonical form.
type labelSets struct {
	arena []byte
	ends  []int
}

// decodeJSON adds an array of objects, or none of null.
func (l *labelSets) decodeJSON(dec *json.Decoder) error {
	if tok, err := dec.Token(); err != nil || tok == nil {
		return err
	} else if tok != json.Delim('[') {
		return fmt.Errorf("%v instead of an array", tok)
	}
	lset := map[string]string{}
	var pairs []pair[string]
	for dec.More() {
		clear(lset)
		if err := dec.Decode(&lset); err != nil {
			return err
		}
		pairs = pairs[:0]
		for n, v := range lset {
			pairs = append(pairs, pair[string]{n, v})
		}
		arena, err := appendCanonical(l.arena, pairs)
		if err != nil {
			return err
		}
		l.arena, l.ends = arena, append(l.ends, len(arena))
	}
	return expect(dec, ']')
}

// sorted returns the label sets in order, without duplicates.
func (l *labelSets) sorted() [][]byte {
	sets := make([][]byte, len(l.ends))
	from := 0
	for i, end := range l.ends {
		sets[i] = l.arena[from:end:end]
		from = end
	}
	slices.SortFunc(sets, encoded.CompareLabels)
	return slices.CompactFunc(sets, func(a, b []byte) bool { return string(a) == string(b) })
}

// send sends the label sets as series without chunks, at most limit if that is
// not 0.
func (l *labelSets) send(limit int, out *sender) error {
	sets := l.sorted()
	if limit > 0 && len(sets) > limit {
		sets = sets[:limit]
	}
	for run := range slices.Chunk(sets, maxRunSeries) {
		f := encoded.NewFrame(nil)
		f.Series = make([]encoded.Series, len(run))
		for i, lset := range run {
			f.Series[i].Labels = lset
			f.Size += f.Series[i].Size()
		}
		err := out.frame(f)
		f.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// The years that RFC 3339 can say.
var (
	firstTime = time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, time.December, 31, 23, 59, 59, 999e6, time.UTC)
)

// formatTime returns a time as a parameter: as text, because Prometheus rounds
// milliseconds that are given as a fraction of seconds.
func formatTime(ms int64) string {
	ms = min(max(ms, firstTime.UnixMilli()), lastTime.UnixMilli())
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

// escapedPrefix marks an escaped label name in a path.
const escapedPrefix = "U__"

// escapeName escapes a label name for a path.
//
// Source: ValueEncodingEscaping in model/metric.go of Prometheus' common
// library, which however leaves a name alone that looks escaped itself.
func escapeName(name string) string {
	var b strings.Builder
	b.WriteString(escapedPrefix)
	for i, c := range name {
		switch {
		case c == '_':
			b.WriteString("__")
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', i > 0 && c >= '0' && c <= '9':
			b.WriteRune(c)
		default:
			fmt.Fprintf(&b, "_%x_", c)
		}
	}
	return b.String()
}
