package objstore_test

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	bucket "github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/examples/internal/objstore"
)

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BUCKET_DIR", dir)
	file := filepath.Join(dir, "bucket.yml")
	testutil.Ok(t, os.WriteFile(file, []byte("type: FILESYSTEM\nconfig:\n  directory: $(BUCKET_DIR)\nprefix: below\n"), 0o600))

	for _, tc := range []struct {
		name string
		args []string
		err  string
	}{
		{"file", []string{"--objstore.config-file=" + file}, ""},
		{"content", []string{"--objstore.config={type: filesystem, config: {directory: $(BUCKET_DIR)}, prefix: below}"}, ""},
		{"neither", nil, "--objstore.config or --objstore.config-file is needed"},
		{"both", []string{"--objstore.config-file=" + file, "--objstore.config=x"}, "exclude each other"},
		{"no file", []string{"--objstore.config-file=" + file + ".none"}, "no such file"},
		{"no variable", []string{"--objstore.config={type: $(BUCKET_NONE)}"}, "expand $(BUCKET_NONE): not in the environment"},
		{"no type", []string{"--objstore.config={type: FLOPPY}"}, "FLOPPY is not supported"},
		{"no field", []string{"--objstore.config={typ: S3, config: {secret_key: hush}}"}, "field typ not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			cfg := objstore.NewConfig(flags, "objstore")
			testutil.Ok(t, flags.Parse(tc.args))
			testutil.Equals(t, len(tc.args) > 0, cfg.Given())
			reg := prometheus.NewRegistry()
			bkt, err := cfg.Open("test", slog.New(slog.DiscardHandler), reg)
			if tc.err != "" {
				testutil.NotOk(t, err)
				testutil.Assert(t, strings.Contains(err.Error(), tc.err), "error: %v", err)
				testutil.Assert(t, !strings.Contains(err.Error(), "hush"), "secret told: %v", err)
				return
			}
			testutil.Ok(t, err)
			testutil.Ok(t, bkt.Upload(t.Context(), "a", strings.NewReader("x")))
			rc, err := bkt.Get(t.Context(), "a")
			testutil.Ok(t, err)
			_, err = io.ReadAll(rc)
			testutil.Ok(t, err)
			testutil.Ok(t, rc.Close())
			_, err = os.Stat(filepath.Join(dir, "below", "a"))
			testutil.Ok(t, err)
			n, err := promtest.GatherAndCount(reg, "thanos_objstore_bucket_operations_total")
			testutil.Ok(t, err)
			testutil.Assert(t, n > 0, "nothing is counted")
			testutil.Ok(t, bkt.Close())
		})
	}
}

// A bucket that is a directory which is not there is warned about, and is an error
// to those who only read it.
func TestNoDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	testutil.Ok(t, os.WriteFile(file, nil, 0o600))
	for _, tc := range []struct {
		name, content, warning, err, errExisting string
	}{
		{"there", "{type: FILESYSTEM, config: {directory: " + dir + "}}", "", "", ""},
		{"not there", "{type: filesystem, config: {directory: " + dir + "/none}}", "none: no such file or directory", "", "none: no such file or directory"},
		{"file", "{type: FILESYSTEM, config: {directory: " + file + "}}", "", "file: not a directory", "file: not a directory"},
		{"no field", "{type: FILESYSTEM, config: {}}", "", "missing directory", "missing directory"},
		{"another provider", "{type: S3, config: {bucket: b, endpoint: localhost:1, directory: " + dir + "/none}}", "", "field directory not found", "field directory not found"},
		{"no YAML", "{", "", "parsing config YAML", "parsing config YAML"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			cfg := objstore.NewConfig(flags, "objstore")
			testutil.Ok(t, flags.Parse([]string{"--objstore.config=" + tc.content}))
			var log strings.Builder
			check := func(want string, open func(string, *slog.Logger, prometheus.Registerer) (bucket.Bucket, error)) {
				t.Helper()
				bkt, err := open("test", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})), nil)
				if want != "" {
					testutil.Assert(t, err != nil && strings.Contains(err.Error(), want), "%v", err)
					return
				}
				testutil.Ok(t, err)
				testutil.Ok(t, bkt.Close())
			}
			check(tc.errExisting, cfg.OpenExisting)
			testutil.Equals(t, "", log.String())
			check(tc.err, cfg.Open)
			testutil.Assert(t, (log.Len() > 0) == (tc.warning != "") && strings.Contains(log.String(), tc.warning), log.String())
		})
	}
}
