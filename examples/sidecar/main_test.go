package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/promstore"
)

func TestMain(m *testing.M) {
	// One of the clouds' clients starts this when it is linked.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/baidubce/bce-sdk-go/util/log.NewLogger.func1"))
}

func TestFlagCheck(t *testing.T) {
	t.Parallel()
	const metaFile = "/data/thanos.shipper.json"
	for name, tc := range map[string]struct {
		flags    map[string]string
		ignore   bool
		warnings []string
		err      []string // none is no error
	}{
		"no compaction":     {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "2h"}},
		"other units":       {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "120m"}},
		"no such flags":     {flags: map[string]string{}, warnings: []string{"not checked whether Prometheus compacts"}},
		"Prometheus 2.42":   {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "1d12h"}, err: []string{"--storage.tsdb.max-block-duration=1d12h"}},
		"delayed, no sizes": {flags: map[string]string{delayCompactFlag: metaFile}, warnings: []string{"not checked"}},
		"compaction":        {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "31h"}, err: []string{"--storage.tsdb.max-block-duration=2h on Prometheus", "--storage.tsdb.delay-compact-file.path=" + metaFile, "--shipper.ignore-unequal-block-size"}},
		"accepted":          {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "31h"}, ignore: true, warnings: []string{"compacted by Prometheus"}},
		"delayed":           {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "31h", delayCompactFlag: "/data/./thanos.shipper.json"}},
		"delayed elsewhere": {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "2h", delayCompactFlag: "/other.json"}, ignore: true, err: []string{"--storage.tsdb.delay-compact-file.path=/other.json", metaFile, "--shipper.meta-file-name"}},
		"not delayed":       {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "31h", delayCompactFlag: ""}, err: []string{"compacted by Prometheus"}},
		"long blocks":       {flags: map[string]string{minBlockFlag: "1d", maxBlockFlag: "1d"}, warnings: []string{"range of 1d", "recommended is 2h"}},
		"no duration":       {flags: map[string]string{minBlockFlag: "2h", maxBlockFlag: "x"}, err: []string{"flag --storage.tsdb.max-block-duration of Prometheus"}},
		"no duration, min":  {flags: map[string]string{minBlockFlag: "", maxBlockFlag: "2h"}, err: []string{"flag --storage.tsdb.min-block-duration of Prometheus"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := flagCheck{metaFile: metaFile, ignoreUnequal: tc.ignore}
			warnings, err := c.run(t.Context(), func(context.Context) (map[string]string, error) { return tc.flags, nil })
			testutil.Equals(t, len(tc.err) > 0, err != nil, "%v", err)
			for _, want := range tc.err {
				testutil.Assert(t, strings.Contains(err.Error(), want), "%v", err)
			}
			testutil.Equals(t, len(tc.warnings) > 0, len(warnings) > 0, "%v", warnings)
			for _, want := range tc.warnings {
				testutil.Assert(t, strings.Contains(errors.Join(warnings...).Error(), want), "%v", warnings)
			}
		})
	}
}

func TestFlagCheckOfAnOldPrometheus(t *testing.T) {
	t.Parallel()
	warnings, err := new(flagCheck).run(t.Context(), func(context.Context) (map[string]string, error) {
		return nil, &promstore.StatusError{Code: 404, Endpoint: "flags"}
	})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(warnings))
	_, err = new(flagCheck).run(t.Context(), func(context.Context) (map[string]string, error) {
		return nil, &promstore.StatusError{Code: 503, Endpoint: "flags"}
	})
	testutil.NotOk(t, err)
}

// The check is made until Prometheus is up and right, and until then the
// program is not ready.
func TestValidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &shipping{}
		s.await(errors.New("not yet"))
		type answer struct {
			flags map[string]string
			err   error
		}
		var now atomic.Pointer[answer]
		flags := func(context.Context) (map[string]string, error) { return now.Load().flags, now.Load().err }
		now.Store(&answer{err: errors.New("connection refused")})
		done := make(chan bool, 1)
		go func() { done <- s.validate(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), flags) }()
		synctest.Wait()
		testutil.Assert(t, strings.Contains(s.ready().Error(), "connection refused"), "%v", s.ready())
		now.Store(&answer{flags: map[string]string{minBlockFlag: "1h", maxBlockFlag: "31h"}})
		<-time.After(checkInterval)
		synctest.Wait()
		testutil.Assert(t, strings.Contains(s.ready().Error(), "--storage.tsdb.max-block-duration=1h on Prometheus"), "%v", s.ready())
		now.Store(&answer{flags: map[string]string{minBlockFlag: "1h", maxBlockFlag: "1h"}})
		testutil.Assert(t, <-done)
		testutil.Ok(t, s.ready())
		testutil.Assert(t, strings.Contains(log.String(), "recommended is 2h"), log.String())

		ctx, cancel := context.WithCancel(t.Context())
		now.Store(&answer{err: errors.New("down")})
		go func() { done <- s.validate(ctx, slog.New(slog.DiscardHandler), flags) }()
		synctest.Wait()
		cancel()
		testutil.Assert(t, !<-done)
	})
}

// startWith makes the writing half of flags.
func startWith(t *testing.T, args ...string) (*shipping, error) {
	t.Helper()
	p := program.New("sidecar")
	p.Flags.SetOutput(t.Output())
	p.Log = slog.New(slog.DiscardHandler)
	s := newShipping(p)
	if err := p.Flags.Parse(args); err != nil {
		return nil, err
	}
	prometheus, err := promstore.New("http://localhost:1", nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, prometheus.Close()) }()
	stop, err := s.start(p, prometheus)
	if err == nil {
		testutil.Ok(t, stop())
	}
	return s, err
}

func TestShippingFlags(t *testing.T) {
	t.Parallel()
	bucket := "--objstore.config={type: FILESYSTEM, config: {directory: " + t.TempDir() + "}}"
	s, err := startWith(t)
	testutil.Ok(t, err)
	testutil.Ok(t, s.ready()) // it only serves

	s, err = startWith(t, bucket, "--tsdb.path=/data", "--shipper.meta-file-name=x.json", "--shipper.upload-compacted", "--shipper.allow-out-of-order-uploads",
		"--shipper.skip-corrupted-blocks", "--shipper.upload-concurrency=3", "--hash-func=SHA256", "--shipper.ignore-unequal-block-size")
	testutil.Ok(t, err)
	testutil.NotOk(t, s.ready())
	testutil.Equals(t, "/data", *s.dir)
	testutil.Equals(t, flagCheck{metaFile: "/data/x.json", ignoreUnequal: true}, s.check)
	testutil.Assert(t, s.upload.UploadCompacted && s.upload.AllowOutOfOrder && s.upload.SkipCorrupted)
	testutil.Equals(t, 3, s.upload.Concurrency)
	testutil.Equals(t, block.HashSHA256, s.upload.HashFunc)

	s, err = startWith(t, bucket, "--tsdb.path=/data", "--shipper.meta-file-name=")
	testutil.Ok(t, err)
	testutil.Equals(t, "/data/thanos.shipper.json", s.check.metaFile) // as the shipper takes it

	for _, args := range [][]string{
		{"--hash-func=MD5"}, {bucket, "--shipper.meta-file-name=../x"}, {bucket, "--shipper.upload-concurrency=-1"},
		{bucket, "--tsdb.path="}, {"--objstore.config=type: FLOPPY"},
	} {
		_, err := startWith(t, args...)
		testutil.NotOk(t, err, strings.Join(args, " "))
	}
}

func TestCheckDataDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := checkDataDir(dir)
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "--storage.tsdb.path"), "%v", err)
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "wal"), nil, 0o600))
	testutil.NotOk(t, checkDataDir(dir))
	testutil.Ok(t, os.Remove(filepath.Join(dir, "wal")))
	testutil.Ok(t, os.Mkdir(filepath.Join(dir, "wal"), 0o750))
	testutil.Ok(t, checkDataDir(dir))
}
