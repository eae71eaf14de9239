package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// logging is the log as --log.level and --log.format say, which Thanos has too. The
// zero value is info and above, in logfmt.
type logging struct {
	level slog.Level
	json  bool
}

// declare declares the flags.
func (l *logging) declare(f *flag.FlagSet) {
	oneOf := func(name, usage string, set func(i int), values ...string) {
		f.Func(name, usage, func(s string) error {
			i := slices.Index(values, s)
			if i < 0 {
				return fmt.Errorf("not one of %s", strings.Join(values, ", "))
			}
			set(i)
			return nil
		})
	}
	oneOf("log.level", "least level that is logged: debug, info, warn or error (default info)", func(i int) {
		l.level = slog.LevelDebug + slog.Level(i)*(slog.LevelInfo-slog.LevelDebug)
	}, "debug", "info", "warn", "error")
	oneOf("log.format", "format of the log: logfmt or json (default logfmt)", func(i int) { l.json = i == 1 }, "logfmt", "json")
}

// logger returns a logger that writes to out.
func (l *logging) logger(out io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.level}
	var h slog.Handler = slog.NewTextHandler(out, opts)
	if l.json {
		h = slog.NewJSONHandler(out, opts)
	}
	return slog.New(h).With("component", "sqlgateway")
}
