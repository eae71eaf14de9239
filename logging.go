package thanoskit

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// The keys that go-kit loggers give to what slog has fields for, and the key of
// a value that came without a usable one, as slog spells it.
const (
	messageKey = "msg"
	badKey     = "!BADKEY"
)

// FromGoKit returns a logger for code that takes slog, whose records go to l.
//
// A record becomes one call of l.Log with level, msg and the attributes in the
// order given. Levels map downwards: below slog.LevelInfo is debug, below
// slog.LevelWarn is info, below slog.LevelError is warn, the rest is error.
// Attributes of a group have the group's name and a dot before their key, a
// slog.LogValuer is resolved, and values that go-kit's logfmt logger refuses
// (slices, maps, structs) are given so that logfmt prints them as %+v and JSON
// as JSON. The record's time is left out, because a go-kit logger carries its
// own ts; a caller that it carries names a line of this package or of slog.
//
// A nil l is silent. FromGoKit of what [ToGoKit] returned is the logger that
// ToGoKit was given.
//
// Errors: those of l.Log reach a caller of the handler; a slog.Logger drops them.
// Concurrency: safe, as go-kit asks of l. Cost: l is asked about every record,
// because a go-kit logger cannot say which levels it drops.
func FromGoKit(l log.Logger) *slog.Logger {
	switch l := l.(type) {
	case nil:
		return slog.New(slog.DiscardHandler)
	case *slogLogger:
		return l.logger
	}
	if l == log.NewNopLogger() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(&goKitHandler{next: l})
}

// ToGoKit returns a logger for code that takes go-kit's log.Logger, such as the
// object storage clients of objstore, whose events go to l.
//
// An event becomes one record. The first level set by package level is its
// level, or a level's name under the key "level"; an event without one is info.
// The first value of "msg" is its message, empty if there is none; all other
// pairs are attributes in the order given, keys as text. A fmt.Stringer that
// has no text form of its own becomes its string, a key without value gets
// log.ErrMissingValue, and the record's source is the line that called Log.
// Valuers such as log.DefaultTimestamp work where go-kit evaluates them, in
// log.With; a ts among them stays an attribute beside the record's time.
//
// A nil l is silent. ToGoKit of what [FromGoKit] returned is the logger that
// FromGoKit was given.
//
// Errors: Log returns what l's handler returns, and nil for a level that the
// handler does not want. Concurrency: safe.
func ToGoKit(l *slog.Logger) log.Logger {
	if l == nil {
		return log.NewNopLogger()
	}
	if h, ok := l.Handler().(*goKitHandler); ok && h.plain() {
		return h.next
	}
	return &slogLogger{logger: l}
}

// goKitHandler is a slog.Handler over a go-kit logger. It does not change after
// it was made.
type goKitHandler struct {
	next    log.Logger
	keyvals []any  // Attributes set so far, flat.
	group   string // The open groups, each with a dot behind it.
}

// plain reports whether h adds nothing to what its logger gets.
func (h *goKitHandler) plain() bool { return len(h.keyvals) == 0 && h.group == "" }

func (h *goKitHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *goKitHandler) Handle(_ context.Context, r slog.Record) error {
	keyvals := make([]any, 0, 4+len(h.keyvals)+2*r.NumAttrs())
	keyvals = append(keyvals, level.Key(), toGoKitLevel(r.Level), messageKey, r.Message)
	keyvals = append(keyvals, h.keyvals...)
	r.Attrs(func(a slog.Attr) bool {
		keyvals = appendAttr(keyvals, h.group, a)
		return true
	})
	return h.next.Log(keyvals...)
}

func (h *goKitHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	keyvals := slices.Clone(h.keyvals)
	for _, a := range attrs {
		keyvals = appendAttr(keyvals, h.group, a)
	}
	return &goKitHandler{next: h.next, keyvals: keyvals, group: h.group}
}

func (h *goKitHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &goKitHandler{next: h.next, keyvals: h.keyvals, group: h.group + name + "."}
}

// appendAttr appends a, flat, with prefix before its key. As slog asks of a
// handler it drops the zero Attr and empty groups and takes a group without
// name as part of what it stands in.
func appendAttr(keyvals []any, prefix string, a slog.Attr) []any {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return keyvals
	}
	if a.Value.Kind() != slog.KindGroup {
		return append(keyvals, goKitKey(prefix+a.Key), goKitValue(a.Value.Any()))
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, a := range a.Value.Group() {
		keyvals = appendAttr(keyvals, prefix, a)
	}
	return keyvals
}

// goKitKey returns key, or badKey for one of which logfmt would keep nothing:
// go-kit's logger drops the whole event then.
func goKitKey(key string) string {
	for _, r := range key {
		if r > ' ' && r != '=' && r != '"' && r != utf8.RuneError {
			return key
		}
	}
	return badKey
}

// goKitValue returns v as a value that every go-kit logger prints.
func goKitValue(v any) any {
	switch v.(type) {
	case nil, string, []byte, error, fmt.Stringer, encoding.TextMarshaler:
		return v
	}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	switch rv.Kind() {
	case reflect.Array, reflect.Chan, reflect.Func, reflect.Map, reflect.Slice, reflect.Struct:
		return structured{v}
	default:
		return v
	}
}

// structured is a value with parts, in the forms of slog's own handlers.
type structured struct{ value any }

func (s structured) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%+v", s.value), nil
}

func (s structured) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(s.value)
	if err != nil {
		// What has no JSON form, such as a channel, must not cost the event.
		return json.Marshal(fmt.Sprintf("%+v", s.value))
	}
	return b, nil
}

func toGoKitLevel(l slog.Level) level.Value {
	switch {
	case l < slog.LevelInfo:
		return level.DebugValue()
	case l < slog.LevelWarn:
		return level.InfoValue()
	case l < slog.LevelError:
		return level.WarnValue()
	default:
		return level.ErrorValue()
	}
}

// slogLogger is a go-kit logger over a slog.Logger.
type slogLogger struct {
	logger *slog.Logger
}

// Log implements log.Logger.
func (l *slogLogger) Log(keyvals ...any) error {
	// go-kit passes no context on, so there is none to give to the handler.
	ctx := context.Background() //nolint:forbidigo // The interface has no context.
	lvl, levelAt := levelOf(keyvals)
	handler := l.logger.Handler()
	if !handler.Enabled(ctx, lvl) {
		return nil
	}
	r := slog.NewRecord(time.Now(), lvl, "", callerPC())
	var hasMessage bool
	for i := 0; i < len(keyvals); i += 2 {
		if i == levelAt {
			continue
		}
		var (
			key   = slogKey(keyvals[i])
			value = any(log.ErrMissingValue)
		)
		if i+1 < len(keyvals) {
			value = keyvals[i+1]
		}
		if key == messageKey && !hasMessage {
			r.Message, hasMessage = fmt.Sprint(value), true
			continue
		}
		r.AddAttrs(slog.Any(key, slogValue(value)))
	}
	return handler.Handle(ctx, r)
}

// levelOf returns the level of an event and the index of the pair that is
// nothing but the level, or -1. Like go-kit's filter it believes the first value
// of type level.Value; the text of a level counts under the level's own key.
func levelOf(keyvals []any) (slog.Level, int) {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if v, ok := keyvals[i+1].(level.Value); ok {
			if keyvals[i] != level.Key() {
				return fromGoKitLevel(v), -1
			}
			return fromGoKitLevel(v), i
		}
	}
	for i := 0; i+1 < len(keyvals); i += 2 {
		if s, ok := keyvals[i+1].(string); ok && keyvals[i] == level.Key() {
			if v, err := level.Parse(s); err == nil {
				return fromGoKitLevel(v), i
			}
		}
	}
	return slog.LevelInfo, -1
}

func fromGoKitLevel(v level.Value) slog.Level {
	switch v {
	case level.DebugValue():
		return slog.LevelDebug
	case level.WarnValue():
		return slog.LevelWarn
	case level.ErrorValue():
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

func slogKey(key any) string {
	s, ok := key.(string)
	if !ok {
		s = fmt.Sprint(key)
	}
	if s == "" {
		return badKey
	}
	return s
}

// slogValue returns v so that slog's handlers print what go-kit's would: their
// JSON handler looks into a Stringer instead of calling it.
func slogValue(v any) any {
	switch v.(type) {
	case slog.LogValuer, encoding.TextMarshaler, json.Marshaler, error, time.Duration:
		return v
	case fmt.Stringer:
		return fmt.Sprint(v) // Survives a String method that panics on nil.
	default:
		return v
	}
}

// callerPC returns the program counter of the line that called Log, past the
// wrappers of go-kit's log.With and level filters, or 0 if it is far away.
func callerPC() uintptr {
	var pcs [8]uintptr
	// Skip runtime.Callers, callerPC and Log.
	n := runtime.Callers(3, pcs[:])
	for _, pc := range pcs[:n] {
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		if !strings.HasPrefix(frame.Function, "github.com/go-kit/log") {
			return pc
		}
	}
	return 0
}
