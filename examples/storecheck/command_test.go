package main

import (
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/storetest"
)

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "0 addresses given, want one"},
		{[]string{"a:1", "b:1"}, "2 addresses given, want one"},
		{[]string{"a:1", "-list"}, "-list, -fixture and an address exclude each other"},
		{[]string{"-fixture=x", "-list"}, "-list, -fixture and an address exclude each other"},
		{[]string{"a:1", "-no-such-flag"}, "flag provided but not defined: -no-such-flag"},
		{[]string{"a:1", "-timeout=0"}, "-timeout and -call-timeout have to be positive"},
		{[]string{"a:1", "-call-timeout=0s"}, "-timeout and -call-timeout have to be positive"},
		{[]string{"a:1", "-call-timeout=-1s"}, "flag -call-timeout: not a duration, such as 90s or 2d; see --help"},
		{[]string{"a:1", "-max-series=0"}, "-max-series has to be positive"},
		{[]string{"a:1", "-matcher={"}, "invalid value"},
		{[]string{"a:1", `-matcher={a!="b"}`}, "matches series without any label"},
		{[]string{"a:1", "-from=1h"}, "neither a time in RFC 3339 nor a negative duration"},
		{[]string{"a:1", "-from=yesterday"}, "neither a time in RFC 3339 nor a negative duration"},
		{[]string{"a:1", "-from=-1h", "-to=-2h"}, "-from is after -to"},
		{[]string{"a:1", "-check=no-such"}, `no check is called "no-such"`},
		{[]string{"a:1", "-check=floats"}, `check "floats" is made in tests only`},
		{[]string{"a:1", "-fixture-check", "-from=-1h"}, "-fixture-check chooses series and range itself"},
		{[]string{"a:1", "-fixture-check", "-fixture-lacks=x"}, `no feature is called "x"`},
		{[]string{"a:1", "-fixture-check", "-external-label=a"}, `not NAME="VALUE"`},
		{[]string{"a:1", "-fixture-check", `-external-label=v="1"`}, `external label "v" is one of the fixture's own`},
		{[]string{"a:1", "-fixture-for=me"}, `-fixture-for is "me"`},
		{[]string{"a:1", "--grpc-client-tls-ca=x"}, "--grpc-client-tls-ca needs --grpc-client-tls-secure"},
		{[]string{"a:1", "--grpc-client-tls-secure", "--grpc-client-tls-ca=/absent"}, "no such file"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			got := storecheck(t, tc.args...)
			testutil.Equals(t, 2, got.status)
			testutil.Equals(t, "", got.out)
			testutil.Assert(t, strings.Contains(got.log, tc.want), got.log)
		})
	}
}

func TestHelpAndList(t *testing.T) {
	t.Parallel()
	got := storecheck(t, "-help")
	testutil.Equals(t, 0, got.status)
	testutil.Assert(t, strings.Contains(got.out, "Usage: storecheck [flags] ADDRESS\n"), got.out)

	got = storecheck(t, "-list")
	testutil.Equals(t, 0, got.status)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	all := storetest.Checks()
	testutil.Equals(t, len(all), len(lines))
	for i, d := range all {
		testutil.Assert(t, strings.HasPrefix(lines[i], d.Name+": "+d.Doc), lines[i])
		testutil.Equals(t, d.Fixture, strings.Contains(lines[i], "Only in tests"), lines[i])
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	before := time.Now()
	c, err := parseArgs([]string{"a:1", "-from=-2h", "-to=2026-01-01T00:00:00Z"}, t.Output())
	testutil.NotOk(t, err)
	testutil.Assert(t, c == nil)
	c, err = parseArgs([]string{"-from=-2h", "a:1", "-to=-1h30m"}, t.Output())
	testutil.Ok(t, err)
	testutil.Equals(t, 30*time.Minute, c.to.Sub(c.from))
	testutil.Assert(t, !c.from.Before(before.Add(-2*time.Hour)) && c.from.Before(time.Now().Add(-2*time.Hour+time.Minute)))
}
