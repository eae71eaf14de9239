package program

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Formats of the log.
const (
	logfmt  = "logfmt"
	logJSON = "json"
)

// Log is where a program logs to, as Thanos' flags say: --log.level and
// --log.format. Its journald is not known here.
type Log struct {
	out    io.Writer
	attrs  []any
	level  slog.LevelVar
	format string
}

// NewLog declares the flags of a log that is written to out, with attributes that
// are in each of its lines.
func NewLog(flags *flag.FlagSet, out io.Writer, attrs ...any) *Log {
	l := &Log{out: out, attrs: attrs, format: logfmt}
	flags.Func("log.level", "least level that is logged: debug, info, warn or error (default info)", func(s string) error {
		levels := []string{"debug", "info", "warn", "error"}
		i := slices.Index(levels, s)
		if i < 0 {
			return fmt.Errorf("not one of %s", strings.Join(levels, ", "))
		}
		l.level.Set(slog.LevelDebug + slog.Level(i)*(slog.LevelInfo-slog.LevelDebug))
		return nil
	})
	flags.Func("log.format", "format of the log: logfmt or json (default logfmt)", func(s string) error {
		if s != logfmt && s != logJSON {
			return fmt.Errorf("not one of %s, %s", logfmt, logJSON)
		}
		l.format = s
		return nil
	})
	return l
}

// Logger returns the logger. Of one that is made before the flags are parsed, the
// level follows them, but not the format.
func (l *Log) Logger() *slog.Logger {
	opts := &slog.HandlerOptions{Level: &l.level}
	if l.format == logJSON {
		opts.ReplaceAttr = asText
		return slog.New(slog.NewJSONHandler(l.out, opts)).With(l.attrs...)
	}
	return slog.New(slog.NewTextHandler(l.out, opts)).With(l.attrs...)
}

// asText has values in JSON written as in logfmt, and as Thanos writes them: 5m0s,
// not nanoseconds, and the name of an enum, not its number.
func asText(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error, json.Marshaler, encoding.TextMarshaler:
		case fmt.Stringer:
			a.Value = slog.StringValue(fmt.Sprint(v)) // fmt survives a nil pointer
		}
	default:
	}
	return a
}
