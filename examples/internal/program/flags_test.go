package program_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/examples/internal/program"
)

func TestDurationAndBytes(t *testing.T) {
	for _, tc := range []struct {
		args  []string
		after time.Duration
		size  int64
		bad   bool
	}{
		{nil, time.Hour, 250 << 20, false},
		{[]string{"--after=1m30s", "--size=0"}, 90 * time.Second, 0, false},
		{[]string{"--after=2d", "--size=1GB"}, 48 * time.Hour, 1 << 30, false},
		{[]string{"--after=1w", "--size=10MiB"}, 7 * 24 * time.Hour, 10 << 20, false},
		{[]string{"--after=0s", "--size=4096"}, 0, 4096, false},
		{[]string{"--after=-1h"}, 0, 0, true},
		{[]string{"--after=later"}, 0, 0, true},
		{[]string{"--size=-1"}, 0, 0, true},
		{[]string{"--size=big"}, 0, 0, true},
	} {
		p := program.New("test")
		p.Flags.SetOutput(io.Discard)
		var after time.Duration
		p.Duration(&after, "after", time.Hour, "a duration")
		size := p.Bytes("size", 250<<20, "a size")
		err := p.Flags.Parse(tc.args)
		testutil.Equals(t, tc.bad, err != nil, "%q: %v", tc.args, err)
		if !tc.bad {
			testutil.Equals(t, tc.after, after)
			testutil.Equals(t, tc.size, *size)
		}
	}
}

func TestContent(t *testing.T) {
	t.Setenv("CONTENT_WHO", "world")
	file := filepath.Join(t.TempDir(), "file")
	testutil.Ok(t, os.WriteFile(file, []byte("of $(CONTENT_WHO), $HOME"), 0o600))
	for _, tc := range []struct {
		name string
		args []string
		want string
		err  string
	}{
		{"none", nil, "", ""},
		{"text", []string{"--what=hello $(CONTENT_WHO)"}, "hello world", ""},
		{"file", []string{"--what-file=" + file}, "of world, $HOME", ""},
		{"both", []string{"--what=a", "--what-file=b"}, "", "--what and --what-file exclude each other"},
		{"no file", []string{"--what-file=" + file + ".none"}, "", "read --what-file: "},
		{"unset", []string{"--what=secret $(CONTENT_NOBODY)"}, "", "expand $(CONTENT_NOBODY): not in the environment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			c := program.NewContent(flags, "what", "something")
			testutil.Ok(t, flags.Parse(tc.args))
			testutil.Equals(t, len(tc.args) > 0, c.Given())
			got, err := c.Read()
			if tc.err != "" {
				testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.err), "error: %v", err)
				testutil.Assert(t, !strings.Contains(err.Error(), "secret"), "told: %v", err)
				return
			}
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, string(got))
			testutil.Equals(t, len(tc.args) == 0, got == nil)
			if tc.name == "file" {
				testutil.Equals(t, tc.args[0], c.String())
			} else {
				testutil.Equals(t, "--what", c.String())
			}
		})
	}
}
