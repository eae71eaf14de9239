package clusters

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

const (
	s3Key    = "interop"
	s3Secret = "interop-secret-key"
)

// bucketName is long enough for one.
func bucketName(cluster string) string { return "blocks-" + cluster }

// bucketDir is where the objects of a cluster's bucket are files: what is put there
// is in the bucket.
func (w *world) bucketDir(cluster string) string {
	return filepath.Join(w.dir, "s3", bucketName(cluster))
}

// startBuckets starts an S3 server with a bucket for each cluster, in which the
// history of its replicas is.
func (w *world) startBuckets() {
	w.Helper()
	root, meta := filepath.Join(w.dir, "s3"), filepath.Join(w.dir, "metadata")
	testutil.Ok(w, os.Mkdir(meta, 0o700))
	p := &part{name: "versitygw", path: proc.Binary(w, "versitygw"), http: proc.FreeAddr(w)}
	p.args = []string{"--port=" + p.http, "--access=" + s3Key, "--secret=" + s3Secret, "--keep-alive", "--quiet", "posix", "--sidecar=" + meta, root}
	p.ready = func(ctx context.Context) error { return listens(ctx, p.http) }
	for _, c := range names {
		testutil.Ok(w, os.MkdirAll(w.bucketDir(c), 0o700))
		for _, r := range replicas {
			for from := w.calendar.start; from.Before(w.calendar.end); from = from.Add(slot) {
				writeBlock(w, w.bucketDir(c), r, from, from.Add(slot), 0, labels.FromStrings("cluster", c, "replica", r))
			}
		}
		w.write("bucket-"+c+".yml", `type: S3
config: {bucket: %s, endpoint: %q, region: us-east-1, insecure: true, access_key: %s, secret_key: %s}
`, bucketName(c), p.http, s3Key, s3Secret)
	}
	w.add(p)
}

func (w *world) bucketConfig(cluster string) string {
	return filepath.Join(w.dir, "bucket-"+cluster+".yml")
}

// addParcel lays a block before a sidecar that is about to start, from before all
// that anybody asks for, so that it has something to upload.
func (w *world) addParcel(p *part) {
	w.Helper()
	replica := p.name[len(p.name)-1:]
	w.parcels[p.name]++
	to := w.calendar.liveStart().Add(-time.Duration(w.parcels[p.name]) * 2 * hour)
	writeBlock(w, w.data(p.cluster, replica), replica, to.Add(-2*hour), to, phaseOf(replica), labels.EmptyLabels())
}

// awaitShipped waits until the sidecars have uploaded what is in the directories of
// their Prometheus and has not been uploaded before.
func (w *world) awaitShipped() {
	w.Helper()
	for _, p := range w.parts {
		if p.role != sidecar {
			continue
		}
		replica := p.name[len(p.name)-1:]
		for id := range w.blocksIn(w.data(p.cluster, replica)) {
			if w.shipped[id] {
				continue
			}
			proc.Await(w, "upload by "+p.name, p.Process, proc.Patience, func(context.Context) error {
				m, err := block.ReadMeta(filepath.Join(w.bucketDir(p.cluster), id.String()))
				if err == nil && (m.Thanos.Source != block.SourceSidecar || m.Labels().Get("replica") != replica) {
					err = fmt.Errorf("block %s has source %s and labels %s", id, m.Thanos.Source, m.Labels())
				}
				return err
			})
			w.shipped[id] = true
		}
	}
}

// blocksIn returns the blocks in a directory that have a meta.json.
func (w *world) blocksIn(dir string) map[ulid.ULID]*block.Meta {
	entries, err := os.ReadDir(dir)
	testutil.Ok(w, err)
	out := map[ulid.ULID]*block.Meta{}
	for _, e := range entries {
		id, err := ulid.ParseStrict(e.Name())
		if err != nil {
			continue
		}
		m, err := block.ReadMeta(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, block.ErrNotFound) {
			continue // It is being written, or deleted.
		}
		testutil.Ok(w, err)
		out[id] = m
	}
	return out
}

// kept is where the blocks of a bucket are that no compactor has seen yet.
func (w *world) kept(cluster string) string { return filepath.Join(w.dir, "kept", cluster) }

// keepBuckets keeps what is in the buckets, so that a compactor of the other kind can
// have it again.
func (w *world) keepBuckets() {
	w.Helper()
	for _, c := range names {
		testutil.Ok(w, os.MkdirAll(filepath.Dir(w.kept(c)), 0o700))
		testutil.Ok(w, os.CopyFS(w.kept(c), os.DirFS(w.bucketDir(c))))
	}
}

// compactAll has compactors of the kinds that a position says compact the buckets
// whose compactor is of the other kind, or has not been: as they were when they
// were kept. A compactor keeps its directory. It returns the clusters.
func (w *world) compactAll(pos position) (compacted []string) {
	w.Helper()
	var all sync.WaitGroup
	errs := make([]error, len(names))
	for i, c := range names {
		k := pos.kind(compactor, "compactor-"+c)
		if w.compacts[c] == k {
			continue
		}
		if w.compacts[c] != "" {
			w.restore(c)
		}
		w.compacts[c] = k
		compacted = append(compacted, c)
		run := w.compaction(c, k)
		all.Go(func() { errs[i] = run() })
	}
	all.Wait()
	testutil.Ok(w, errors.Join(errs...))
	return compacted
}

// awaitSynced waits until the store gateways have looked at their buckets since it was
// called, and taken in what they saw: a look begins when the last has ended.
func (w *world) awaitSynced() {
	w.Helper()
	for _, p := range w.parts {
		if p.role != gateway {
			continue
		}
		first := -1
		proc.Await(w, "look at the bucket of "+p.name, p.Process, proc.Patience, func(ctx context.Context) error {
			n, err := syncs(ctx, p.http)
			if err != nil {
				return err
			}
			if first < 0 {
				first = n
			}
			if n < first+2 {
				return fmt.Errorf("%d looks, %d when it began", n, first)
			}
			return nil
		})
	}
}

// syncs is how often a store gateway has begun to look at its bucket.
func syncs(ctx context.Context, addr string) (int, error) {
	body, err := proc.Get(ctx, "http://"+addr+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, "thanos_blocks_meta_syncs_total "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New("no metric thanos_blocks_meta_syncs_total")
}

// restore puts a bucket back as it was kept. What sidecars have uploaded since is
// before the present, and of no account.
func (w *world) restore(cluster string) {
	w.Helper()
	dir := w.bucketDir(cluster)
	entries, err := os.ReadDir(dir)
	testutil.Ok(w, err)
	for _, e := range entries {
		testutil.Ok(w, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	testutil.Ok(w, os.CopyFS(dir, os.DirFS(w.kept(cluster))))
}

// compactorCommand is a compactor that ends when it has done all.
func (w *world) compactorCommand(cluster string, k kind) (path string, args []string) {
	w.Helper()
	args = []string{
		"--objstore.config-file=" + w.bucketConfig(cluster), "--data-dir=" + filepath.Join(w.dir, "compactor-"+cluster),
		"--consistency-delay=0s", "--deduplication.replica-label=replica", "--compact.enable-vertical-compaction",
		"--retention.resolution-raw=" + hours(w.calendar.raw), "--retention.resolution-5m=" + hours(w.calendar.five),
		"--http-address=" + proc.FreeAddr(w),
	}
	if k == ours {
		args = append(args, "--deduplication.func=chain") // As Thanos does without being told.
	}
	return command(w, compactor, k, args)
}

func hours(d time.Duration) string { return fmt.Sprintf("%dh", int(d.Hours())) }

// compaction returns what runs a compactor over a bucket, to the end.
func (w *world) compaction(cluster string, k kind) func() error {
	w.Helper()
	path, args := w.compactorCommand(cluster, k)
	return func() error {
		ctx, cancel := context.WithTimeout(w.Context(), 3*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
		for _, word := range []string{"level=error", "level=ERROR", "halt", "quarantined=1"} {
			if err == nil && strings.Contains(string(out), word) {
				err = fmt.Errorf("says %s", word)
			}
		}
		if err != nil {
			return fmt.Errorf("compact %s by %s: %w\n%s", cluster, k, errors.Join(err, ctx.Err()), out)
		}
		return nil
	}
}

// layout describes the blocks of a bucket that are not marked: to whom they are, of
// what resolution, from when to when, and with how many samples.
func (w *world) layout(cluster string) string {
	w.Helper()
	var lines []string
	for id, m := range w.blocksIn(w.bucketDir(cluster)) {
		if _, err := os.Stat(filepath.Join(w.bucketDir(cluster), id.String(), block.DeletionMarkFile)); err == nil {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %-3s %s to %s, level %d: %d series, %d samples", m.Labels(), m.Resolution(),
			time.UnixMilli(m.MinTime).UTC().Format("01-02T15h"), time.UnixMilli(m.MaxTime).UTC().Format("01-02T15h"), m.Compaction.Level, m.Stats.NumSeries, m.Stats.NumSamples))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
