package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/examples/internal/program"
)

// options returns the flags and options that a command line makes.
func options(t *testing.T, args ...string) (*flags, *compact.Options, error) {
	t.Helper()
	p := program.NewHTTP("compact")
	p.Flags.SetOutput(io.Discard)
	f := newFlags(p)
	if err := p.Flags.Parse(args); err != nil {
		return nil, nil, err
	}
	o, err := f.options(p)
	return f, o, err
}

func TestFlags(t *testing.T) {
	t.Parallel()
	f, o, err := options(t)
	testutil.Ok(t, err)
	testutil.Assert(t, !*f.wait && !*f.dryRun)
	testutil.Equals(t, compact.DefaultRanges(), o.Ranges)
	testutil.Equals(t, compact.DefaultDeleteDelay, o.DeleteDelay)
	testutil.Equals(t, compact.OverlapMerge, o.Overlap)
	testutil.Equals(t, compact.Retention{}, o.Retention)
	testutil.Assert(t, o.Algorithm == nil && o.Downsampling == compact.DownsampleAll && o.Interlock == compact.InterlockOn)

	f, o, err = options(
		t,
		"--wait", "--wait-interval=3m", "--consistency-delay=0s", "--delete-delay=2d", "--compact.cleanup-interval=0s",
		"--retention.resolution-raw=30d", "--retention.resolution-5m=120d", "--retention.resolution-1h=5y", "--retention.max-hold=7d",
		"--compact.concurrency=3", "--compact.blocks-fetch-concurrency=2", "--downsample.concurrency=4", "--block-files-concurrency=5",
		"--compact.block-max-index-size=1GB", "--debug.max-compaction-level=3", "--compact.enable-vertical-compaction=false",
		"--downsampling.disable", "--retention.strict", "--hash-func=SHA256", "--max-time=-1d", "--shards=3", "--shard=2",
		"--selector.relabel-config=[{action: keep, source_labels: [cluster], regex: eu.*}]",
		"--web.disable", "--debug.halt-on-error=false", "--block-meta-fetch-concurrency=20", // heard, and not heeded
	)
	testutil.Ok(t, err)
	testutil.Assert(t, *f.wait)
	testutil.Equals(t, 3*time.Minute, o.WaitInterval)
	testutil.Assert(t, o.ConsistencyDelay < 0 && o.CleanupInterval < 0 && !o.MaxTime.IsZero() && len(o.Relabel) == 1)
	const d = 24 * time.Hour
	testutil.Equals(t, 2*d, o.DeleteDelay)
	testutil.Equals(t, compact.Retention{Raw: 30 * d, FiveMinutes: 120 * d, OneHour: 5 * 365 * d}, o.Retention)
	testutil.Equals(t, 7*d, o.MaxHold)
	testutil.Equals(t, []int{3, 2, 4, 5, 3, 2}, []int{o.Concurrency, o.FetchConcurrency, o.DownsampleConcurrency, o.FilesConcurrency, o.Shards, o.Shard})
	testutil.Equals(t, int64(1<<30), o.MaxIndexBytes)
	testutil.Equals(t, 4, len(o.Ranges))
	testutil.Equals(t, compact.OverlapLeave, o.Overlap)
	testutil.Equals(t, compact.DownsampleNone, o.Downsampling)
	testutil.Equals(t, compact.InterlockOff, o.Interlock)
	testutil.Equals(t, block.HashSHA256, o.Hash)

	// Of several rules, the first counts that matches.
	_, o, err = options(t, `--retention.rule={tenant="a",env!="prod"} raw=7d 5m=30d 1h=1y`, `--retention.rule={tenant=~".+}"}`)
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(o.RetentionRules))
	testutil.Equals(t, `[tenant="a" env!="prod"]`, fmt.Sprint(o.RetentionRules[0].Matchers))
	testutil.Equals(t, compact.Retention{Raw: 7 * d, FiveMinutes: 30 * d, OneHour: 365 * d}, o.RetentionRules[0].Retention)
	testutil.Equals(t, compact.Retention{}, o.RetentionRules[1].Retention)

	// Replica labels ask for blocks that overlap to be merged, as with Thanos.
	_, o, err = options(
		t, "--deduplication.replica-label=replica,rule_replica", "--deduplication.func=penalty",
		`--deduplication.prefer-replica={rule_replica="a"}`, "--compact.enable-vertical-compaction=false",
	)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"replica", "rule_replica"}, o.ReplicaLabels)
	testutil.Equals(t, "penalty", fmt.Sprint(o.Algorithm))
	testutil.Equals(t, `[rule_replica="a"]`, fmt.Sprint(o.PreferReplicas))
	testutil.Equals(t, compact.OverlapMerge, o.Overlap)
	for _, name := range []string{"follow", "chain"} {
		_, o, err = options(t, "--deduplication.func="+name)
		testutil.Ok(t, err)
		testutil.Equals(t, name, fmt.Sprint(o.Algorithm))
	}

	for _, bad := range []string{
		"--retention.resolution-raw=long",
		"--retention.rule=raw=7d",
		"--retention.rule={} raw=7d",
		`--retention.rule={tenant="a"} raw`,
		`--retention.rule={tenant="a"} 2m=7d`,
		`--retention.rule={tenant="a"} raw=long`,
		`--retention.rule={tenant=a} raw=7d`,
		"--deduplication.func=coin",
		"--deduplication.prefer-replica={",
		`--deduplication.prefer-replica={replica="a"}`,
		"--shard=1",
		"--shards=0",
		"--debug.max-compaction-level=5",
		"--debug.max-compaction-level=-1",
		"--hash-func=MD5",
		"--selector.relabel-config=[{action: replace}]",
	} {
		_, _, err := options(t, bad)
		testutil.NotOk(t, err, bad)
		name, _, _ := strings.Cut(strings.TrimLeft(bad, "-"), "=")
		testutil.Assert(t, strings.Contains(err.Error(), "-"+name), "%s is not named: %v", name, err)
	}
	_, _, err = options(t, "--min-time=-1h", "--max-time=-2h")
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "--min-time=-1h is after --max-time=-2h"), "%v", err)
	_, _, err = options(t, "--deduplication.prefer-replica=a", "--deduplication.replica-label=replica")
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), `--deduplication.prefer-replica={__name__="a"}: none of its labels is a --deduplication.replica-label`), "%v", err)
}

// All flags that docs/compaction.md names are there.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/compaction.md")
	testutil.Ok(t, err)
	p := program.NewHTTP("compact")
	newFlags(p)
	seen := 0
	for _, m := range regexp.MustCompile("`--([a-z0-9.-]+)").FindAllStringSubmatch(string(page), -1) {
		testutil.Assert(t, p.Flags.Lookup(m[1]) != nil, "there is no --%s", m[1])
		seen++
	}
	testutil.Assert(t, seen > 15, "%d flags", seen)
}

// bucket puts blocks into a directory that is a bucket, and returns it with its
// configuration.
func bucket(t *testing.T) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	const two = 2 * time.Hour
	at := time.Now().Add(-30 * 24 * time.Hour).Truncate(8 * time.Hour)
	for k := range 5 {
		from := at.Add(time.Duration(k) * two)
		blocktest.Build(t, dir, &blocktest.Options{
			MinTime: from.UnixMilli(), MaxTime: from.Add(two).UnixMilli(), Level: 2, Source: block.SourceSidecar,
		}, blocktest.Series(labels.FromStrings("__name__", "up"), blocktest.Sample{T: from.UnixMilli(), F: 1}))
	}
	return dir, fmt.Sprintf("--objstore.config={type: FILESYSTEM, config: {directory: %q}}", dir)
}

// blocks returns by ULID the number of sources of each block that is not to be
// deleted.
func blocks(t *testing.T, dir string) map[ulid.ULID]int {
	t.Helper()
	out := map[ulid.ULID]int{}
	metas, err := filepath.Glob(filepath.Join(dir, "*", block.MetaFile))
	testutil.Ok(t, err)
	for _, path := range metas {
		m, err := block.ReadMeta(filepath.Dir(path))
		if errors.Is(err, block.ErrTorn) || errors.Is(err, block.ErrNotFound) {
			continue // It is being uploaded, or deleted.
		}
		testutil.Ok(t, err)
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), block.DeletionMarkFile)); err != nil {
			out[m.ULID] = len(m.Compaction.Sources)
		}
	}
	return out
}

// start runs the program until it ends or the context does.
func start(ctx context.Context, t *testing.T, log io.Writer, out io.Writer, args ...string) error {
	t.Helper()
	p := program.NewHTTP("compact")
	p.Log = slog.New(slog.NewTextHandler(log, nil))
	f := newFlags(p)
	args = append(args, "--http-address=127.0.0.1:0", "--data-dir="+t.TempDir(), "--consistency-delay=0s")
	if err := p.Flags.Parse(args); err != nil {
		return err
	}
	return f.run(ctx, p, out)
}

func TestOnce(t *testing.T) {
	t.Parallel()
	dir, config := bucket(t)
	var log, out bytes.Buffer
	testutil.Ok(t, start(t.Context(), t, &log, &out, config, "--dry-run"))
	testutil.Assert(t, strings.Contains(out.String(), "COMPACTIONS") && strings.Contains(out.String(), "1 compaction of 4 blocks"), "%s", out.String())
	testutil.Equals(t, 5, len(blocks(t, dir)))

	testutil.Ok(t, start(t.Context(), t, &log, &out, config))
	testutil.Assert(t, strings.Contains(log.String(), `msg="all done" compactions=1`), "%s", log.String())
	after := blocks(t, dir)
	testutil.Equals(t, 2, len(after))

	// Once more there is nothing to do, and a bucket that there is not is an error.
	testutil.Ok(t, start(t.Context(), t, &log, &out, config))
	testutil.Equals(t, after, blocks(t, dir))
	testutil.NotOk(t, start(t.Context(), t, &log, &out))
	testutil.NotOk(t, start(t.Context(), t, &log, &out, config, "--shard=4"))
}

func TestWait(t *testing.T) {
	t.Parallel()
	dir, config := bucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := start(ctx, t, w, io.Discard, config, "--wait", "--wait-interval=10ms", "--compact.cleanup-interval=10ms")
		done <- err
		_ = w.Close()
	}()
	addr := awaitLine(t, r, "http=")
	for len(blocks(t, dir)) != 2 {
		select {
		case err := <-done:
			t.Fatalf("program ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, page := range []string{"/-/ready", "/-/healthy"} {
		testutil.Equals(t, "", get(t, addr+page))
	}
	for _, line := range []string{
		`thanos_compact_group_compactions_total{resolution="0"} 1`, "thanos_compact_halted 0", "thanos_compact_todo_compactions ",
		"thanos_compact_iterations_total ", "thanos_delete_delay_seconds 172800", "thanos_objstore_bucket_operations_total",
	} {
		for !strings.Contains(get(t, addr+"/metrics"), line) { // What is counted comes after what is done.
			select {
			case err := <-done:
				t.Fatalf("program ended: %v", err)
			case <-t.Context().Done():
				t.Fatalf("no %s", line)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	cancel()
	testutil.Ok(t, <-done)
}

// awaitLine returns what follows a key in the first line of a log that has it, and
// has the rest of the log be read by nobody.
func awaitLine(t *testing.T, r *io.PipeReader, key string) string {
	t.Helper()
	var b []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		b = append(b, buf[:n]...)
		if _, after, ok := strings.Cut(string(b), key); ok {
			value, _, _ := strings.Cut(after, "\n")
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return "http://" + strings.TrimSpace(value)
		}
		testutil.Ok(t, err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	testutil.Ok(t, err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	testutil.Ok(t, err)
	defer resp.Body.Close()
	testutil.Equals(t, http.StatusOK, resp.StatusCode, url)
	b, err := io.ReadAll(resp.Body)
	testutil.Ok(t, err)
	return string(b)
}
