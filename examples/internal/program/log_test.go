package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
)

func TestLog(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want []string // messages
		json bool
	}{
		{nil, []string{"info", "warn", "error"}, false},
		{[]string{"--log.level=debug", "--log.format=logfmt"}, []string{"debug", "info", "warn", "error"}, false},
		{[]string{"--log.level=info", "--log.format=json"}, []string{"info", "warn", "error"}, true},
		{[]string{"--log.format=json", "--log.level=warn"}, []string{"warn", "error"}, true},
		{[]string{"--log.level=error"}, []string{"error"}, false},
	} {
		var out bytes.Buffer
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		l := NewLog(flags, &out, "component", "test")
		testutil.Ok(t, flags.Parse(tc.args))
		log := l.Logger()
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		testutil.Equals(t, len(tc.want), len(lines), "%q: %s", tc.args, out.String())
		for i, line := range lines {
			testutil.Equals(t, tc.json, json.Valid([]byte(line)), line)
			want := "level=" + strings.ToUpper(tc.want[i]) + " msg=" + tc.want[i] + " component=test"
			if tc.json {
				want = `"level":"` + strings.ToUpper(tc.want[i]) + `","msg":"` + tc.want[i] + `","component":"test"`
			}
			testutil.Assert(t, strings.Contains(line, want), "%s: want %s", line, want)
		}
	}
	for _, arg := range []string{"--log.level=INFO", "--log.level=", "--log.format=journald", "--log.format="} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		NewLog(flags, io.Discard)
		testutil.NotOk(t, flags.Parse([]string{arg}))
	}
}

type enumValue int

func (enumValue) String() string { return "named" }

// Values are in JSON what they are in logfmt.
func TestLogValues(t *testing.T) {
	var out bytes.Buffer
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	l := NewLog(flags, &out)
	testutil.Ok(t, flags.Parse([]string{"--log.format=json"}))
	l.Logger().Info("m", "took", 90*time.Second, "kind", enumValue(1), "err", errors.New("no"), "none", (*time.Location)(nil), "n", 3, slog.Group("g", "took", time.Millisecond))
	var got map[string]any
	testutil.Ok(t, json.Unmarshal(out.Bytes(), &got))
	delete(got, "time")
	testutil.Equals(t, map[string]any{
		"level": "INFO", "msg": "m", "took": "1m30s", "kind": "named", "err": "no", "none": "UTC", "n": 3.0, "g": map[string]any{"took": "1ms"},
	}, got)
}

// A program logs as its flags say from when they are parsed.
func TestProgramLog(t *testing.T) {
	for _, p := range []*Program{New("test"), NewHTTP("test")} {
		var out bytes.Buffer
		p.log.out = &out
		testutil.Ok(t, p.parse([]string{"--log.format=json", "--log.level=warn"}, io.Discard))
		p.Log.Info("not this")
		p.Log.Warn("this")
		testutil.Assert(t, json.Valid(out.Bytes()) && strings.Contains(out.String(), `"msg":"this","component":"test"`), out.String())
	}
}

// What is wrong with a command line is logged as it says, and an argument that
// nobody asked for is not passed over.
func TestProgramParse(t *testing.T) {
	for args, want := range map[string]string{
		"--none":       "flag provided but not defined: -none; see --help",
		"--http.x=1 y": "flag provided but not defined: -http.x; see --help",
		"y":            `unexpected argument "y", since it is no flag; see --help`,
	} {
		var log, out bytes.Buffer
		p := NewHTTP("test")
		p.log.out = &log
		err := p.parse(append([]string{"--log.format=json"}, strings.Fields(args)...), &out)
		testutil.NotOk(t, err)
		testutil.Equals(t, want, err.Error())
		p.Log.Error("program ended", "err", err)
		testutil.Assert(t, json.Valid(log.Bytes()) && out.Len() == 0, "%s%s", &log, &out)
	}
	var out bytes.Buffer
	err := NewHTTP("test").parse([]string{"--help"}, &out)
	testutil.Assert(t, errors.Is(err, flag.ErrHelp) && strings.HasPrefix(out.String(), "Usage: ") && strings.Contains(out.String(), `(default "0.0.0.0:10902")`), "%v: %s", err, &out)
}
