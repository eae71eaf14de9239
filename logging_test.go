package thanoskit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ExampleFromGoKit() {
	kit := log.With(log.NewLogfmtLogger(os.Stdout), "component", "sidecar")
	logger := thanoskit.FromGoKit(kit)

	logger.Warn("store is slow", "store", "prom-a:10901", slog.Group("wait", "budget", 2*time.Second))
	// Output:
	// component=sidecar level=warn msg="store is slow" store=prom-a:10901 wait.budget=2s
}

func ExampleToGoKit() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	kit := log.With(thanoskit.ToGoKit(logger), "bucket", "blocks")

	if err := level.Error(kit).Log("msg", "delete object", "err", errors.New("access denied")); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=ERROR msg="delete object" bucket=blocks err="access denied"
}

// kitLogger keeps the events it gets.
type kitLogger struct {
	mu     sync.Mutex
	events [][]any
	err    error
}

func (l *kitLogger) Log(keyvals ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, append([]any{}, keyvals...))
	return l.err
}

// logfmt returns what a go-kit logfmt logger prints for what f logs to slog.
func logfmt(t *testing.T, f func(*slog.Logger)) string {
	t.Helper()
	var buf bytes.Buffer
	f(thanoskit.FromGoKit(log.NewLogfmtLogger(&buf)))
	return strings.TrimSuffix(buf.String(), "\n")
}

type answer struct{ n int }

func (a answer) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("n", a.n), slog.Bool("ok", true))
}

func TestFromGoKit(t *testing.T) {
	t.Parallel()
	type point struct {
		X, Y int
	}
	for _, tc := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{name: "no attributes", log: func(l *slog.Logger) { l.Info("m") }, want: `level=info msg=m`},
		{name: "empty message", log: func(l *slog.Logger) { l.Info("") }, want: `level=info msg=`},
		{name: "order", log: func(l *slog.Logger) { l.With("b", 1).Info("m", "a", 2, "b", 3) }, want: `level=info msg=m b=1 a=2 b=3`},
		{name: "debug", log: func(l *slog.Logger) { l.Debug("m") }, want: `level=debug msg=m`},
		{name: "warn", log: func(l *slog.Logger) { l.Warn("m") }, want: `level=warn msg=m`},
		{name: "error", log: func(l *slog.Logger) { l.Error("m") }, want: `level=error msg=m`},
		{name: "below debug", log: func(l *slog.Logger) { l.Log(t.Context(), slog.LevelDebug-4, "m") }, want: `level=debug msg=m`},
		{name: "below info", log: func(l *slog.Logger) { l.Log(t.Context(), slog.LevelInfo-1, "m") }, want: `level=debug msg=m`},
		{name: "above info", log: func(l *slog.Logger) { l.Log(t.Context(), slog.LevelInfo+1, "m") }, want: `level=info msg=m`},
		{name: "above warn", log: func(l *slog.Logger) { l.Log(t.Context(), slog.LevelWarn+3, "m") }, want: `level=warn msg=m`},
		{name: "above error", log: func(l *slog.Logger) { l.Log(t.Context(), slog.LevelError+8, "m") }, want: `level=error msg=m`},
		{
			name: "groups",
			log: func(l *slog.Logger) {
				l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("m", slog.Group("i", "c", 3), slog.Group("", "d", 4), slog.Group("j"))
			},
			want: `level=info msg=m a=1 g.b=2 g.h.i.c=3 g.h.d=4`,
		},
		{name: "group without name", log: func(l *slog.Logger) { l.WithGroup("").Info("m", "a", 1) }, want: `level=info msg=m a=1`},
		{name: "log valuer", log: func(l *slog.Logger) { l.With("x", answer{1}).Info("m", "y", answer{2}) }, want: `level=info msg=m x.n=1 x.ok=true y.n=2 y.ok=true`},
		{name: "zero attribute", log: func(l *slog.Logger) { l.Info("m", slog.Attr{}, "a", 1) }, want: `level=info msg=m a=1`},
		{name: "key without value", log: func(l *slog.Logger) { l.Info("m", []any{"a"}...) }, want: `level=info msg=m !BADKEY=a`},
		{name: "key that logfmt refuses", log: func(l *slog.Logger) { l.Info("m", "", 1, "= \"", 2, "a b", 3) }, want: `level=info msg=m !BADKEY=1 !BADKEY=2 ab=3`},
		{
			name: "values",
			log: func(l *slog.Logger) {
				l.Info("m", "nil", nil, "dur", time.Minute, "time", time.Unix(0, 0).UTC(), "err", errors.New("no space"), "url", &url.URL{Host: "x"}, "nan", 0.5, "bytes", []byte("ab"))
			},
			want: `level=info msg=m nil=null dur=1m0s time=1970-01-01T00:00:00Z err="no space" url=//x nan=0.5 bytes=ab`,
		},
		{
			name: "values with parts",
			log: func(l *slog.Logger) {
				n := 7
				l.Info("m", "slice", []int{1, 2}, "map", map[string]int{"a": 1}, "struct", point{1, 2}, "ptr", &point{3, 4}, "int", &n, "none", (*point)(nil))
			},
			want: `level=info msg=m slice="[1 2]" map=map[a:1] struct="{X:1 Y:2}" ptr="&{X:3 Y:4}" int=7 none=null`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, logfmt(t, tc.log)); d != "" {
				t.Fatalf("line differs (-want +got):\n%s", d)
			}
		})
	}
}

func TestFromGoKitJSON(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	thanoskit.FromGoKit(log.NewJSONLogger(&buf)).Info("m", "slice", []int{1, 2}, "chan", make(chan int), "err", errors.New("no space"))
	var got map[string]any
	testutil.Ok(t, json.Unmarshal(buf.Bytes(), &got))
	testutil.Assert(t, strings.HasPrefix(fmt.Sprint(got["chan"]), "0x"), "got %v", got["chan"])
	delete(got, "chan")
	want := map[string]any{"level": "info", "msg": "m", "slice": []any{1.0, 2.0}, "err": "no space"}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("event differs (-want +got):\n%s", d)
	}
}

// TestFromGoKitFilter: the level is of the type that go-kit's filter looks for.
func TestFromGoKitFilter(t *testing.T) {
	t.Parallel()
	kit := &kitLogger{}
	l := thanoskit.FromGoKit(level.NewFilter(kit, level.AllowWarn(), level.SquelchNoLevel(true)))
	l.Debug("a")
	l.Info("b")
	l.Warn("c")
	l.Error("d")
	testutil.Equals(t, 2, len(kit.events))
	testutil.Equals(t, []any{level.Key(), level.WarnValue(), "msg", "c"}, kit.events[0])
}

// TestFromGoKitSlogtest runs the standard library's checks of a handler. The
// time is the go-kit logger's to add, so it is added here.
func TestFromGoKitSlogtest(t *testing.T) {
	t.Parallel()
	var kit *kitLogger
	slogtest.Run(t, func(*testing.T) slog.Handler {
		kit = &kitLogger{}
		return thanoskit.FromGoKit(kit).Handler()
	}, func(t *testing.T) map[string]any {
		t.Helper()
		testutil.Equals(t, 1, len(kit.events))
		event := map[string]any{}
		if !strings.HasSuffix(t.Name(), "/zero-time") {
			event[slog.TimeKey] = "now"
		}
		keyvals := kit.events[0]
		for i := 0; i < len(keyvals); i += 2 {
			at := event
			path := strings.Split(fmt.Sprint(keyvals[i]), ".")
			for _, group := range path[:len(path)-1] {
				if at[group] == nil {
					at[group] = map[string]any{}
				}
				at = at[group].(map[string]any)
			}
			at[path[len(path)-1]] = keyvals[i+1]
		}
		return event
	})
}

// TestFromGoKitSiblings: loggers derived from one do not write over each other.
func TestFromGoKitSiblings(t *testing.T) {
	t.Parallel()
	got := logfmt(t, func(l *slog.Logger) {
		base := l.With("a", 1, "b", 2, "c", 3)
		x, y := base.With("x", 4), base.With("y", 5)
		x.Info("m")
		y.WithGroup("g").Info("m", "z", 6)
		base.Info("m")
	})
	want := "level=info msg=m a=1 b=2 c=3 x=4\nlevel=info msg=m a=1 b=2 c=3 y=5 g.z=6\nlevel=info msg=m a=1 b=2 c=3"
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("lines differ (-want +got):\n%s", d)
	}
}

func TestFromGoKitError(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk is full")
	h := thanoskit.FromGoKit(&kitLogger{err: cause}).Handler()
	err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, "m", 0))
	testutil.Assert(t, errors.Is(err, cause), "got %v", err)
}

func TestSilent(t *testing.T) {
	t.Parallel()
	for _, l := range []log.Logger{nil, log.NewNopLogger(), thanoskit.ToGoKit(nil)} {
		logger := thanoskit.FromGoKit(l)
		testutil.Assert(t, !logger.Enabled(t.Context(), slog.LevelError+100), "a silent logger builds no records")
		logger.Error("m")
	}
	testutil.Ok(t, thanoskit.ToGoKit(nil).Log("msg", "m"))
	testutil.Ok(t, thanoskit.ToGoKit(slog.New(slog.DiscardHandler)).Log("msg", "m"))
}

// text returns what slog's text handler prints, without the time, for what f
// logs to go-kit.
func text(t *testing.T, f func(log.Logger)) string {
	t.Helper()
	var buf bytes.Buffer
	f(thanoskit.ToGoKit(slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))))
	return strings.TrimSuffix(buf.String(), "\n")
}

func TestToGoKit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		log  func(log.Logger) error
		want string
	}{
		{name: "nothing", log: func(l log.Logger) error { return l.Log() }, want: `level=INFO msg=""`},
		{name: "no level", log: func(l log.Logger) error { return l.Log("msg", "m", "a", 1) }, want: `level=INFO msg=m a=1`},
		{name: "debug", log: func(l log.Logger) error { return level.Debug(l).Log("msg", "m") }, want: `level=DEBUG msg=m`},
		{name: "info", log: func(l log.Logger) error { return level.Info(l).Log("msg", "m") }, want: `level=INFO msg=m`},
		{name: "warn", log: func(l log.Logger) error { return level.Warn(l).Log("msg", "m") }, want: `level=WARN msg=m`},
		{name: "error", log: func(l log.Logger) error { return level.Error(l).Log("msg", "m") }, want: `level=ERROR msg=m`},
		{name: "level as text", log: func(l log.Logger) error { return l.Log("level", "warn", "msg", "m") }, want: `level=WARN msg=m`},
		{name: "text that is no level", log: func(l log.Logger) error { return l.Log("level", 3, "msg", "m") }, want: `level=INFO msg=m level=3`},
		{name: "two levels", log: func(l log.Logger) error { return level.Warn(level.Debug(l)).Log("msg", "m") }, want: `level=WARN msg=m level=debug`},
		{name: "level under another key", log: func(l log.Logger) error { return l.Log("was", level.ErrorValue(), "msg", "m") }, want: `level=ERROR msg=m was=error`},
		{name: "no message", log: func(l log.Logger) error { return level.Info(l).Log("err", errors.New("no space")) }, want: `level=INFO msg="" err="no space"`},
		{name: "message last", log: func(l log.Logger) error { return l.Log("a", 1, "msg", "m") }, want: `level=INFO msg=m a=1`},
		{name: "two messages", log: func(l log.Logger) error { return l.Log("msg", "m", "msg", "n") }, want: `level=INFO msg=m msg=n`},
		{name: "message that is no text", log: func(l log.Logger) error { return l.Log("msg", errors.New("no space")) }, want: `level=INFO msg="no space"`},
		{name: "odd", log: func(l log.Logger) error { return l.Log("msg", "m", "a") }, want: `level=INFO msg=m a=(MISSING)`},
		{name: "odd level", log: func(l log.Logger) error { return l.Log("msg", "m", "level") }, want: `level=INFO msg=m level=(MISSING)`},
		{name: "odd message", log: func(l log.Logger) error { return l.Log("a", 1, "msg") }, want: `level=INFO msg=(MISSING) a=1`},
		{name: "keys", log: func(l log.Logger) error { return l.Log(1, 2, nil, 3, time.Second, 4, "", 5) }, want: `level=INFO msg="" 1=2 <nil>=3 1s=4 !BADKEY=5`},
		{name: "context", log: func(l log.Logger) error { return log.With(log.With(l, "a", 1), "b").Log("msg", "m") }, want: `level=INFO msg=m a=1 b=(MISSING)`},
		{name: "prefix and suffix", log: func(l log.Logger) error { return log.WithSuffix(log.WithPrefix(l, "a", 1), "b", 2).Log("msg", "m") }, want: `level=INFO msg=m a=1 b=2`},
		{name: "valuer", log: func(l log.Logger) error { return log.With(l, "n", log.Valuer(func() any { return 3 })).Log("msg", "m") }, want: `level=INFO msg=m n=3`},
		{name: "stringer on nil", log: func(l log.Logger) error { return l.Log("msg", "m", "url", (*url.URL)(nil)) }, want: `level=INFO msg=m url=<nil>`},
		{name: "log valuer", log: func(l log.Logger) error { return l.Log("msg", "m", "x", answer{1}) }, want: `level=INFO msg=m x.n=1 x.ok=true`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := text(t, func(l log.Logger) { testutil.Ok(t, tc.log(l)) })
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Fatalf("line differs (-want +got):\n%s", d)
			}
		})
	}
}

// port has only a String method: go-kit's JSON logger prints it, slog's would
// print the field.
type port struct{ Number int }

func (p port) String() string { return fmt.Sprintf(":%d", p.Number) }

func TestToGoKitJSON(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	l := thanoskit.ToGoKit(slog.New(slog.NewJSONHandler(&buf, nil)))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l = log.With(l, "ts", log.TimestampFormat(func() time.Time { return at }, time.RFC3339))
	testutil.Ok(t, l.Log("msg", "m", "port", port{90}, "err", errors.New("no space"), "took", time.Second, "list", []int{1}))

	var got map[string]any
	testutil.Ok(t, json.Unmarshal(buf.Bytes(), &got))
	delete(got, slog.TimeKey)
	want := map[string]any{"level": "INFO", "msg": "m", "ts": "2026-01-02T03:04:05Z", "port": ":90", "err": "no space", "took": 1e9, "list": []any{1.0}}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("event differs (-want +got):\n%s", d)
	}
}

// handler has an error for every record, and wants them from a level on.
type handler struct {
	slog.Handler
	level   slog.Level
	err     error
	records []slog.Record
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if ctx == nil {
		return errors.New("no context")
	}
	h.records = append(h.records, r)
	return h.err
}

func TestToGoKitLevelAndError(t *testing.T) {
	t.Parallel()
	h := &handler{level: slog.LevelWarn, err: errors.New("disk is full")}
	l := thanoskit.ToGoKit(slog.New(h))
	testutil.Ok(t, l.Log("msg", "m"))
	testutil.Ok(t, level.Debug(l).Log("msg", "m"))
	testutil.Equals(t, 0, len(h.records))

	err := level.Warn(l).Log("msg", "m")
	testutil.Assert(t, errors.Is(err, h.err), "got %v", err)
	testutil.Equals(t, 1, len(h.records))
	testutil.Assert(t, time.Since(h.records[0].Time) < time.Minute, "time is %s", h.records[0].Time)
}

// TestToGoKitSource: the source is the line that logged, through whatever layers
// of go-kit.
func TestToGoKitSource(t *testing.T) {
	t.Parallel()
	h := &handler{}
	l := thanoskit.ToGoKit(slog.New(h))
	_, _, line, ok := runtime.Caller(0)
	testutil.Assert(t, ok)
	testutil.Ok(t, l.Log("msg", "m"))
	testutil.Ok(t, level.NewFilter(level.Warn(log.With(l, "a", 1)), level.AllowAll()).Log("msg", "m"))
	testutil.Equals(t, 2, len(h.records))
	for i, r := range h.records {
		src := r.Source()
		testutil.Assert(t, src != nil && strings.HasSuffix(src.File, "logging_test.go"), "source is %v", src)
		testutil.Equals(t, line+2+i, src.Line)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	kit := log.NewLogfmtLogger(&bytes.Buffer{})
	testutil.Assert(t, thanoskit.ToGoKit(thanoskit.FromGoKit(kit)) == kit, "a go-kit logger comes back as it was")
	logger := slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)).WithGroup("g").With("a", 1)
	testutil.Assert(t, thanoskit.FromGoKit(thanoskit.ToGoKit(logger)) == logger, "a slog logger comes back as it was")

	// What was added on the way goes both ways through the handler.
	var buf bytes.Buffer
	kit = log.NewLogfmtLogger(&buf)
	kit = thanoskit.ToGoKit(thanoskit.FromGoKit(kit).With("a", 1).WithGroup("g"))
	testutil.Ok(t, level.Warn(log.With(kit, "b", 2)).Log("msg", "m", "c", 3))
	testutil.Equals(t, "level=warn msg=m a=1 g.b=2 g.c=3\n", buf.String())

	got := text(t, func(l log.Logger) {
		thanoskit.FromGoKit(log.With(l, "a", 1)).WithGroup("g").With("b", 2).Error("m", "c", 3)
	})
	testutil.Equals(t, `level=ERROR msg=m a=1 g.b=2 g.c=3`, got)
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	const workers, events = 8, 100
	kit := &kitLogger{}
	// Neither side is the other's origin, so that both bridges are in the way.
	fromKit := thanoskit.FromGoKit(kit).With("a", 1).WithGroup("g").With("b", 2)
	toKit := log.With(thanoskit.ToGoKit(fromKit), "c", 3, "n", log.Valuer(func() any { return 4 }))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range events {
				fromKit.With("d", i).Info("m", "e", i)
				if err := level.Info(toKit).Log("msg", "m", "e", i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	testutil.Equals(t, 2*workers*events, len(kit.events))
	lengths := map[int]int{}
	for _, e := range kit.events {
		testutil.Equals(t, "[level info msg m a 1 g.b 2]", fmt.Sprint(e[:8]))
		lengths[len(e)]++
	}
	// Two further pairs from slog, three from go-kit.
	testutil.Equals(t, map[int]int{12: workers * events, 14: workers * events}, lengths)
}

func BenchmarkFromGoKit(b *testing.B) {
	b.ReportAllocs()
	l := thanoskit.FromGoKit(log.LoggerFunc(func(...any) error { return nil })).With("store", "a")
	for b.Loop() {
		l.Info("m", "block", "b", "series", 5)
	}
}

func BenchmarkToGoKit(b *testing.B) {
	b.ReportAllocs()
	l := log.With(thanoskit.ToGoKit(slog.New(&discard{})), "store", "a")
	for b.Loop() {
		if err := level.Info(l).Log("msg", "m", "block", "b", "series", 5); err != nil {
			b.Fatal(err)
		}
	}
}

// discard wants every record, and drops it.
type discard struct{ slog.Handler }

func (*discard) Enabled(context.Context, slog.Level) bool  { return true }
func (*discard) Handle(context.Context, slog.Record) error { return nil }
