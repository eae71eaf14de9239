package shipper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Our sidecar ships what Prometheus has, and Thanos' own tools find nothing wrong
// with it.
func TestShips(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, version := range []string{currentPrometheus, debianPrometheus} {
			t.Run(kind+" "+version, func(t *testing.T) {
				t.Parallel()
				const blocks = 6
				b := newBucket(t, kind)
				p := startPrometheus(t, version, history(t, blocks), noCompaction...)
				s := startSidecar(t, "ours", p, b, "--hash-func=SHA256", "--shipper.upload-concurrency=2")
				l := b.awaitBlocks(t, s.Process, p.dir, blocks)
				s.awaitReady(t)
				for id, meta := range l.whole {
					if !maps.Equal(meta.Thanos.Labels, map[string]string{"cluster": "eu1", "replica": "a"}) || meta.Thanos.Source != block.SourceSidecar {
						t.Errorf("block %s: %+v", id, meta.Thanos)
					}
				}
				checkRecord(t, p.dir, l)
				if got := s.metric(t, "thanos_shipper_uploads_total"); got != "6" {
					t.Errorf("uploads: %s", got)
				}
				if got := s.metric(t, "thanos_shipper_corrupted_blocks_total"); got != "0" {
					t.Errorf("blocks of Prometheus taken for corrupted: %s\n%s", got, s.Tail(10))
				}
				if got := s.metric(t, `thanos_objstore_bucket_operations_total{bucket="[^"]+",operation="upload"}`); got != "18" {
					t.Errorf("operations: %s", got)
				}

				ls := strings.Fields(b.thanosTools(t, "ls"))
				slices.Sort(ls)
				if want := idTexts(l); !slices.Equal(want, ls) {
					t.Errorf("thanos tools bucket ls: %v instead of %v", ls, want)
				}
				b.thanosTools(t, "verify")
			})
		}
	}
}

func idTexts(l look) []string {
	var out []string
	for id := range l.whole {
		out = append(out, id.String())
	}
	slices.Sort(out)
	return out
}

// checkRecord compares the record with what is in the bucket, and looks for
// links that are left.
func checkRecord(t testing.TB, dir string, l look) {
	t.Helper()
	proc.Await(t, "record", nil, proc.Patience, func(context.Context) error {
		raw, err := os.ReadFile(filepath.Join(dir, "thanos.shipper.json"))
		if err != nil {
			return err
		}
		var record struct {
			Version  int         `json:"version"`
			Uploaded []ulid.ULID `json:"uploaded"`
		}
		if err := json.Unmarshal(raw, &record); err != nil {
			return err
		}
		slices.SortFunc(record.Uploaded, ulid.ULID.Compare)
		if want := slices.SortedFunc(maps.Keys(l.whole), ulid.ULID.Compare); record.Version != 1 || !slices.Equal(want, record.Uploaded) {
			return fmt.Errorf("version %d, %v instead of %v", record.Version, record.Uploaded, want)
		}
		return filepath.WalkDir(filepath.Join(dir, "thanos"), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && e.Name() != "lock" {
				err = fmt.Errorf("%s is left", path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	})
}

// metric returns the value of the metric with that name and labels.
func (s *sidecar) metric(t testing.TB, pattern string) string {
	t.Helper()
	page, err := proc.Get(t.Context(), "http://"+s.http+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(pattern) + ` (\S+)$`).FindSubmatch(page)
	if m == nil {
		t.Fatalf("no metric %s in\n%s", pattern, page)
	}
	return string(m[1])
}

// Thanos' sidecar and ours take turns on one directory and one record, and none
// sends what the other one has sent.
func TestTurns(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const each = 3
			turns := []string{"thanos", "ours", "thanos", "ours"}
			blocks, b := history(t, each*len(turns)), newBucket(t, kind)
			p := startPrometheus(t, currentPrometheus, nil, noCompaction...)
			var before look
			for i, who := range turns {
				finish(t, p.dir, blocks[i*each:(i+1)*each])
				s := startSidecar(t, who, p, b)
				l := b.awaitBlocks(t, s.Process, p.dir, (i+1)*each)
				checkRecord(t, p.dir, l)
				s.awaitReady(t)
				if got := s.metric(t, "thanos_shipper_uploads_total"); got != fmt.Sprint(each) {
					t.Errorf("turn %d, %s: %s uploads", i, who, got)
				}
				for id, meta := range before.whole {
					if !l.whole[id].Thanos.UploadTime.Equal(meta.Thanos.UploadTime) {
						t.Errorf("turn %d, %s: block %s was sent again", i, who, id)
					}
				}
				before = l
				s.Stop()
			}
			b.thanosTools(t, "verify")
		})
	}
}

// Both at once, which nobody should do, do no harm where objects are written as a
// whole.
func TestBothAtOnce(t *testing.T) {
	t.Parallel()
	const blocks = 12
	b := newBucket(t, "S3")
	p := startPrometheus(t, currentPrometheus, history(t, blocks), noCompaction...)
	thanos, ours := startSidecar(t, "thanos", p, b), startSidecar(t, "ours", p, b)
	again := startSidecar(t, "ours", p, b)
	l := b.awaitBlocks(t, ours.Process, p.dir, blocks)
	checkRecord(t, p.dir, l)
	for _, s := range []*sidecar{thanos, ours, again} {
		s.awaitReady(t)
		s.Stop()
	}
	b.look(t, p.dir)
	b.thanosTools(t, "verify")
}

// Prometheus' flags decide whether anything is sent.
func TestFlags(t *testing.T) {
	t.Parallel()
	const blocks = 2
	b := newBucket(t, "filesystem")
	p := startPrometheus(t, currentPrometheus, nil) // compacts
	paths := history(t, blocks)
	finish(t, p.dir, paths)
	s := startSidecar(t, "ours", p, b)
	proc.Await(t, "refusal", s.Process, proc.Patience, func(context.Context) error {
		if log := s.Tail(5); !strings.Contains(log, "--storage.tsdb.max-block-duration=2h on Prometheus") {
			return errors.New(log)
		}
		return nil
	})
	if _, err := proc.Get(t.Context(), "http://"+s.http+"/-/ready"); err == nil {
		t.Error("ready beside a Prometheus that compacts")
	}
	if l := b.look(t, p.dir); len(l.whole)+len(l.partial) != 0 {
		t.Errorf("sent beside a Prometheus that compacts: %+v", l)
	}

	p.Stop()
	p.start(t, "--storage.tsdb.delay-compact-file.path="+filepath.Join(p.dir, "other.json"))
	proc.Await(t, "refusal", s.Process, proc.Patience, func(context.Context) error {
		if log := s.Tail(5); !strings.Contains(log, "other.json") {
			return errors.New(log)
		}
		return nil
	})

	p.Stop()
	p.start(t, "--storage.tsdb.delay-compact-file.path="+filepath.Join(p.dir, "thanos.shipper.json"))
	s.awaitReady(t)
	checkRecord(t, p.dir, b.awaitBlocks(t, s.Process, p.dir, blocks))
}
