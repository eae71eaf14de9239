package promapi

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Form makes the parameters of Prometheus' APIs.
func Form(ms []*labels.Matcher, mint, maxt int64, limit int) url.Values {
	f := url.Values{}
	if len(ms) > 0 {
		f.Set("match[]", Selector(ms))
	}
	f.Set("start", FormatTime(mint))
	f.Set("end", FormatTime(maxt))
	if limit > 0 {
		f.Set("limit", strconv.Itoa(limit))
	}
	return f
}

// Selector returns the matchers as PromQL. Names that are not plain are quoted,
// which Prometheus 3 and newer understand.
func Selector(ms []*labels.Matcher) string {
	var b strings.Builder
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m.String())
	}
	return "{" + b.String() + "}"
}

// The years that RFC 3339 can say.
var (
	firstTime = time.Date(1, time.January, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, time.December, 31, 23, 59, 59, 999e6, time.UTC)
)

// FormatTime returns a time as a parameter: as text, because Prometheus rounds
// milliseconds that are given as a fraction of seconds.
func FormatTime(ms int64) string {
	ms = min(max(ms, firstTime.UnixMilli()), lastTime.UnixMilli())
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

// EscapedPrefix marks an escaped label name in a path.
const EscapedPrefix = "U__"

// EscapeName escapes a label name for a path.
//
// Source: ValueEncodingEscaping in model/metric.go of Prometheus' common
// library, which however leaves a name alone that looks escaped itself.
func EscapeName(name string) string {
	var b strings.Builder
	b.WriteString(EscapedPrefix)
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
