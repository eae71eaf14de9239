package block_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// world is a bucket with blocks 0 to 4, of which 3 and 4 are marked, and with all
// that is none: 5 has no meta.json, 6 has one that is torn, 7 one of the future.
func world(t testing.TB, inner objstore.Bucket) *blocktest.Bucket {
	t.Helper()
	bkt := blocktest.NewBucket(inner)
	for n := range 5 {
		putMeta(t, inner, newMeta(n))
		put(t, inner, block.ObjectName(newID(n), "chunks/000001"), "x")
	}
	mark(t, inner, block.Mark{Kind: block.DeletionMark, Block: newID(3), Time: time.Unix(1_700_000_000, 0)})
	mark(t, inner, block.Mark{Kind: block.NoCompactMark, Block: newID(4), Reason: block.ReasonManual})
	mark(t, inner, block.Mark{Kind: block.NoDownsampleMark, Block: newID(4), Reason: block.ReasonManual})
	put(t, inner, block.ObjectName(newID(5), "chunks/000001"), "x")
	put(t, inner, block.ObjectName(newID(6), "meta.json"), "{")
	put(t, inner, block.ObjectName(newID(7), "meta.json"), `{"ulid":"`+newID(7).String()+`","version":2}`)
	put(t, inner, "debug/metas/x.json", "x")
	put(t, inner, "thanos.shipper.json", "x")
	return bkt
}

func mark(t testing.TB, bkt objstore.Bucket, m block.Mark) {
	t.Helper()
	_, err := block.PutMark(context.Background(), bkt, m)
	testutil.Ok(t, err)
}

func newFetcher(t testing.TB, bkt objstore.BucketReader, dir string, opts *block.FetcherOptions) *block.Fetcher {
	t.Helper()
	f, err := block.NewFetcher(bkt, dir, opts)
	testutil.Ok(t, err)
	return f
}

func fetchWith(t testing.TB, f *block.Fetcher) *block.View {
	t.Helper()
	v, err := f.Fetch(context.Background())
	testutil.Ok(t, err)
	return v
}

// ids returns the blocks of a map, ascending, by their numbers.
func ids[V any](m map[ulid.ULID]V) []int {
	var found []int
	for n := range 100 {
		if _, ok := m[newID(n)]; ok {
			found = append(found, n)
		}
	}
	if len(found) != len(m) {
		panic(fmt.Sprintf("others among %v", m))
	}
	return found
}

func TestFetcher(t *testing.T) {
	t.Parallel()
	type way struct {
		open   func() objstore.Bucket
		lister block.Lister
		// What is asked: listings at all, meta.json and marks at first, on the second
		// fetch, and after a restart.
		lists, first, second, restart int
	}
	all := buckets(t)
	for name, w := range map[string]way{
		"recursive":             {all["object store"], block.RecursiveLister(), 1, 7 + 3, 2, 2},
		"recursive, filesystem": {all["filesystem"], nil, 1, 7 + 3, 2, 2},
		"per block":             {all["object store"], block.BlockLister(0), 9, 7 + 3, 2, 2},
		// Without times, it is not known whether marks are as they were.
		"flat": {func() objstore.Bucket { return flat{objstore.NewInMemBucket()} }, nil, 9, 7 + 3, 2 + 3, 2 + 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt, dir := world(t, w.open()), t.TempDir()
			count := func() (lists, gets int) {
				defer bkt.Reset()
				s := bkt.Stats()
				for op, o := range s.Ops {
					switch op {
					case objstore.OpIter:
						lists += o.Requests
					case objstore.OpGet:
						gets += o.Requests
					default:
						t.Errorf("unexpected %s", op)
					}
				}
				return lists, gets
			}
			check := func(v *block.View, gets int) {
				t.Helper()
				lists, got := count()
				testutil.Equals(t, w.lists, lists)
				testutil.Equals(t, gets, got)
				testutil.Ok(t, v.Incomplete)
				testutil.Equals(t, []int{0, 1, 2, 3, 4}, ids(v.Metas))
				testutil.Equals(t, "", cmp.Diff(newMeta(2), v.Metas[newID(2)]))
				testutil.Equals(t, []int{5, 6, 7}, ids(v.Partial))
				testutil.Assert(t, errors.Is(v.Partial[newID(5)], block.ErrPartial), "%v", v.Partial)
				testutil.Assert(t, errors.Is(v.Partial[newID(6)], block.ErrCorrupt), "%v", v.Partial)
				testutil.Assert(t, errors.Is(v.Partial[newID(7)], block.ErrUnsupported), "%v", v.Partial)
				for id, err := range v.Partial {
					testutil.Assert(t, strings.Contains(err.Error(), id.String()), "%v", err)
				}
				deletion, err := v.Mark(newID(3), block.DeletionMark)
				testutil.Ok(t, err)
				testutil.Equals(t, int64(1_700_000_000), deletion.Time.Unix())
				noCompact, err := v.Mark(newID(4), block.NoCompactMark)
				testutil.Ok(t, err)
				testutil.Equals(t, block.ReasonManual, noCompact.Reason)
				testutil.Assert(t, v.Marked(newID(4), block.NoDownsampleMark) && !v.Marked(newID(4), block.DeletionMark) && !v.Marked(newID(9), block.DeletionMark))
				none, err := v.Mark(newID(4), block.DeletionMark)
				testutil.Assert(t, none == nil && err == nil)
			}
			bkt.Reset()
			f := newFetcher(t, bkt, dir, &block.FetcherOptions{Lister: w.lister})
			check(fetchWith(t, f), w.first)
			check(fetchWith(t, f), w.second)
			check(fetchWith(t, newFetcher(t, bkt, dir, &block.FetcherOptions{Lister: w.lister})), w.restart)
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	}
}

func TestFetcherKeepsUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	inner := objstore.NewInMemBucket()
	bkt, dir := world(t, inner), t.TempDir()
	f := newFetcher(t, bkt, dir, nil)
	fetchWith(t, f)
	cached := func() []string { return names(t, filepath.Join(dir, "meta-syncer")) }
	testutil.Equals(t, 5, len(cached()))

	// One goes, one is new, one is whole now, one is changed, marks come and go and
	// change.
	testutil.Ok(t, block.Delete(ctx, inner, newID(0)))
	putMeta(t, inner, newMeta(8))
	putMeta(t, inner, newMeta(5))
	changed := newMeta(1, func(m *block.Meta) { m.Thanos.Extensions = []byte(`{"x":1}`) })
	putMeta(t, inner, changed)
	later := time.Now().Add(time.Hour)
	testutil.Ok(t, inner.ChangeLastModified(block.ObjectName(newID(1), "meta.json"), later))
	mark(t, inner, block.Mark{Kind: block.NoCompactMark, Block: newID(1)})
	for _, kind := range []block.MarkKind{block.NoCompactMark, block.NoDownsampleMark} {
		_, err := block.RemoveMark(ctx, inner, newID(4), kind)
		testutil.Ok(t, err)
	}
	_, err := block.RemoveMark(ctx, inner, newID(3), block.DeletionMark)
	testutil.Ok(t, err)
	mark(t, inner, block.Mark{Kind: block.DeletionMark, Block: newID(3), Time: time.Unix(1_800_000_000, 0)})
	testutil.Ok(t, inner.ChangeLastModified(block.ObjectName(newID(3), "deletion-mark.json"), later))

	for _, f := range []*block.Fetcher{f, newFetcher(t, bkt, dir, nil)} {
		v := fetchWith(t, f)
		testutil.Equals(t, []int{1, 2, 3, 4, 5, 8}, ids(v.Metas))
		testutil.Equals(t, "", cmp.Diff(changed, v.Metas[newID(1)]))
		testutil.Assert(t, v.Marked(newID(1), block.NoCompactMark) && !v.Marked(newID(4), block.NoCompactMark) && !v.Marked(newID(4), block.NoDownsampleMark))
		m, err := v.Mark(newID(3), block.DeletionMark)
		testutil.Ok(t, err)
		testutil.Equals(t, int64(1_800_000_000), m.Time.Unix())
		testutil.Equals(t, 6, len(cached()))
	}
	listed, ok := fetchWith(t, f).Listed(newID(1))
	testutil.Assert(t, ok && listed.Meta && listed.MetaModified.Equal(later) && listed.Newest.Equal(later), "%v", listed)
}

func TestFetcherCacheIsNotTrusted(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(t *testing.T, file string){
		"torn":  func(t *testing.T, file string) { testutil.Ok(t, os.Truncate(file, 20)) },
		"empty": func(t *testing.T, file string) { testutil.Ok(t, os.Truncate(file, 0)) },
		"gone":  func(t *testing.T, file string) { testutil.Ok(t, os.Remove(file)) },
		"directory": func(t *testing.T, file string) {
			testutil.Ok(t, os.Remove(file))
			testutil.Ok(t, os.Mkdir(file, 0o700))
		},
		"another block's": func(t *testing.T, file string) { testutil.Ok(t, block.WriteMeta(filepath.Dir(file), newMeta(9))) },
		"of the future": func(t *testing.T, file string) {
			testutil.Ok(t, os.WriteFile(file, []byte(`{"ulid":"`+newID(2).String()+`","version":2}`), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Without times nothing but the contents can tell.
			for _, b := range []objstore.Bucket{objstore.NewInMemBucket(), flat{objstore.NewInMemBucket()}} {
				bkt, dir := world(t, b), t.TempDir()
				fetchWith(t, newFetcher(t, bkt, dir, nil))
				harm(t, filepath.Join(dir, "meta-syncer", newID(2).String(), "meta.json"))
				bkt.Reset()
				v := fetchWith(t, newFetcher(t, bkt, dir, nil))
				testutil.Equals(t, "", cmp.Diff(newMeta(2), v.Metas[newID(2)]))
				bkt.Reset()
			}
		})
	}
}

func TestFetcherReadsWhatThanosCached(t *testing.T) {
	t.Parallel()
	bkt, dir := world(t, flat{objstore.NewInMemBucket()}), t.TempDir()
	for n := range 5 {
		d := filepath.Join(dir, "meta-syncer", newID(n).String())
		testutil.Ok(t, os.MkdirAll(d, 0o700))
		testutil.Ok(t, block.WriteMeta(d, newMeta(n)))
	}
	bkt.Reset()
	v := fetchWith(t, newFetcher(t, bkt, dir, nil))
	testutil.Equals(t, 5, len(v.Metas))
	testutil.Equals(t, int64(2+3), int64(bkt.Stats().Ops[objstore.OpGet].Requests))
}

func TestFetcherWithoutRoom(t *testing.T) {
	t.Parallel()
	bkt, dir := world(t, objstore.NewInMemBucket()), t.TempDir()
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "meta-syncer"), []byte("x"), 0o600))
	var log bytes.Buffer
	f := newFetcher(t, bkt, dir, &block.FetcherOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	testutil.Equals(t, 5, len(fetchWith(t, f).Metas))
	testutil.Assert(t, strings.Contains(log.String(), "cannot cache"), "%s", log.String())
	testutil.Ok(t, os.Remove(filepath.Join(dir, "meta-syncer")))
	testutil.Ok(t, os.MkdirAll(filepath.Join(dir, "meta-syncer"), 0o750))
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "meta-syncer", newID(8).String()), []byte("x"), 0o600))
	putMeta(t, bkt, newMeta(8))
	log.Reset()
	testutil.Equals(t, 6, len(fetchWith(t, f).Metas))
	testutil.Assert(t, strings.Contains(log.String(), "cannot cache file"), "%s", log.String())
}

// A bucket without any block is told of, once until there is one.
func TestFetcherEmptyBucket(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	testutil.Ok(t, bkt.Upload(t.Context(), "debug/metas/x.json", strings.NewReader("{}")))
	var log bytes.Buffer
	f := newFetcher(t, bkt, "", &block.FetcherOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	told := func() int { return strings.Count(log.String(), "no block in the bucket") }
	for range 2 {
		testutil.Equals(t, 0, len(fetchWith(t, f).Metas))
		testutil.Equals(t, 1, told())
	}
	putMeta(t, bkt, newMeta(1))
	testutil.Equals(t, 1, len(fetchWith(t, f).Metas))
	testutil.Equals(t, 1, told())
	testutil.Ok(t, block.Delete(t.Context(), bkt, newID(1)))
	testutil.Equals(t, 0, len(fetchWith(t, f).Metas))
	testutil.Equals(t, 2, told())
	testutil.Assert(t, strings.Contains(log.String(), "before=1"), "%s", log.String())
}

// What cannot be judged makes the view incomplete; what was known of it stays.
func TestFetcherIncomplete(t *testing.T) {
	t.Parallel()
	for name, lister := range map[string]block.Lister{"recursive": block.RecursiveLister(), "per block": block.BlockLister(4)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := objstore.NewInMemBucket()
			bkt := world(t, inner)
			f := newFetcher(t, bkt, t.TempDir(), &block.FetcherOptions{Lister: lister})
			metas := map[int]bool{1: true, 2: true}
			bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool {
				id, _ := block.ParseID(r.Name)
				return r.Op == objstore.OpGet && (id == newID(1) || id == newID(2)) || strings.HasSuffix(r.Name, block.DeletionMarkFile)
			}))
			v := fetchWith(t, f)
			testutil.Equals(t, []int{0, 3, 4}, ids(v.Metas))
			testutil.Equals(t, []int{5, 6, 7}, ids(v.Partial))
			incomplete, ok := errors.AsType[*block.IncompleteError](v.Incomplete)
			testutil.Assert(t, ok && errors.Is(v.Incomplete, block.ErrIncomplete) && errors.Is(v.Incomplete, blocktest.ErrAccessDenied), "%v", v.Incomplete)
			testutil.Equals(t, []int{1, 2, 3}, ids(incomplete.Failed))
			for n := range metas {
				testutil.Assert(t, strings.Contains(v.Incomplete.Error(), newID(n).String()), "%v", v.Incomplete)
			}
			// Marked it is, but since when is not known.
			testutil.Assert(t, v.Marked(newID(3), block.DeletionMark))
			m, err := v.Mark(newID(3), block.DeletionMark)
			testutil.Assert(t, m == nil && err == nil)

			bkt.Fail(nil)
			v = fetchWith(t, f)
			testutil.Ok(t, v.Incomplete)
			testutil.Equals(t, 5, len(v.Metas))
			before, err := v.Mark(newID(3), block.DeletionMark)
			testutil.Ok(t, err)

			// Changed since, and not to be read: as before.
			later := time.Now().Add(time.Hour)
			testutil.Ok(t, inner.ChangeLastModified(block.ObjectName(newID(1), "meta.json"), later))
			testutil.Ok(t, inner.ChangeLastModified(block.ObjectName(newID(3), "deletion-mark.json"), later))
			bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpGet }))
			for range 2 {
				v = fetchWith(t, f)
				incomplete, _ = errors.AsType[*block.IncompleteError](v.Incomplete)
				testutil.Equals(t, []int{1, 3, 6, 7}, ids(incomplete.Failed))
				testutil.Equals(t, 5, len(v.Metas))
				after, err := v.Mark(newID(3), block.DeletionMark)
				testutil.Ok(t, err)
				testutil.Equals(t, before, after)
			}
			bkt.Fail(nil)
			testutil.Ok(t, fetchWith(t, f).Incomplete)
		})
	}
}

func TestBlockListerIncomplete(t *testing.T) {
	t.Parallel()
	bkt := world(t, objstore.NewInMemBucket())
	f := newFetcher(t, bkt, t.TempDir(), &block.FetcherOptions{Lister: block.BlockLister(2)})
	fetchWith(t, f)
	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool {
		return r.Op == objstore.OpIter && r.Name != "" && r.Name != newID(2).String()
	}))
	v := fetchWith(t, f)
	testutil.Equals(t, []int{0, 1, 2, 3, 4}, ids(v.Metas))
	testutil.Assert(t, v.Marked(newID(3), block.DeletionMark))
	incomplete, _ := errors.AsType[*block.IncompleteError](v.Incomplete)
	testutil.Equals(t, []int{0, 1, 3, 4, 5, 6, 7}, ids(incomplete.Failed))
	testutil.Assert(t, strings.HasPrefix(v.Incomplete.Error(), "incomplete view: 7 blocks"), "%v", v.Incomplete)
	testutil.Assert(t, strings.HasSuffix(v.Incomplete.Error(), "and 2 more"), "%v", v.Incomplete)
	bkt.Fail(nil)
	testutil.Ok(t, fetchWith(t, f).Incomplete)

	// From the start, nothing is known of them.
	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpIter && r.Name != "" }))
	v = fetch(t, bkt, &block.FetcherOptions{Lister: block.BlockLister(2)})
	testutil.Equals(t, 0, len(v.Metas)+len(v.Partial))
	testutil.NotOk(t, v.Incomplete)
}

func TestFetcherFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, lister := range map[string]block.Lister{"recursive": block.RecursiveLister(), "per block": block.BlockLister(4)} {
		bkt := world(t, objstore.NewInMemBucket())
		f := newFetcher(t, bkt, t.TempDir(), &block.FetcherOptions{Lister: lister})
		bkt.Fail(blocktest.Deny(nil))
		_, err := f.Fetch(ctx)
		testutil.Assert(t, errors.Is(err, blocktest.ErrAccessDenied), "%s: %v", name, err)
		bkt.Fail(nil)
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		_, err = f.Fetch(cancelled)
		testutil.Assert(t, errors.Is(err, context.Canceled), "%s: %v", name, err)
		testutil.Equals(t, 5, len(fetchWith(t, f).Metas))
		filter := block.FilterFunc(func(context.Context, *block.View) error { return blocktest.ErrFault })
		f = newFetcher(t, bkt, "", &block.FetcherOptions{Lister: lister, Filters: []block.Filter{filter}})
		_, err = f.Fetch(ctx)
		testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%s: %v", name, err)
	}
}

// Cancelled while it reads, a Fetch says so instead of a view in which most is
// not known.
func TestFetcherCancelled(t *testing.T) {
	t.Parallel()
	bkt := world(t, objstore.NewInMemBucket())
	ctx, cancel := context.WithCancel(context.Background())
	bkt.Delay(func(r blocktest.Request) time.Duration {
		if r.Op == objstore.OpGet {
			cancel()
		}
		return 0
	})
	_, err := newFetcher(t, bkt, "", &block.FetcherOptions{Concurrency: 1}).Fetch(ctx)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}

// What is cached of a block that cannot be looked at after a restart is kept until
// it can.
func TestFetcherKeepsCacheOfFailed(t *testing.T) {
	t.Parallel()
	bkt, dir := world(t, objstore.NewInMemBucket()), t.TempDir()
	opts := &block.FetcherOptions{Lister: block.BlockLister(2)}
	fetchWith(t, newFetcher(t, bkt, dir, opts))
	f := newFetcher(t, bkt, dir, opts)
	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpIter && r.Name == newID(1).String() }))
	v := fetchWith(t, f)
	testutil.NotOk(t, v.Incomplete)
	testutil.Assert(t, v.Metas[newID(1)] == nil)
	bkt.Fail(nil)
	bkt.Reset()
	testutil.Assert(t, fetchWith(t, f).Metas[newID(1)] != nil)
	for _, name := range ops(bkt, objstore.OpGet) {
		testutil.Assert(t, !strings.HasPrefix(name, newID(1).String()), "%s was read again", name)
	}
}

// What vanishes between listing and reading is no block, and its mark is none.
func TestFetcherVanishing(t *testing.T) {
	t.Parallel()
	bkt := world(t, objstore.NewInMemBucket())
	bkt.Hide(func(name string) bool {
		return strings.HasPrefix(name, newID(2).String()) || name == block.ObjectName(newID(3), block.DeletionMarkFile)
	})
	v := fetch(t, bkt, nil)
	testutil.Ok(t, v.Incomplete)
	testutil.Equals(t, []int{0, 1, 3, 4}, ids(v.Metas))
	testutil.Assert(t, errors.Is(v.Partial[newID(2)], block.ErrPartial) && errors.Is(v.Partial[newID(2)], block.ErrNotFound), "%v", v.Partial)
	testutil.Assert(t, !v.Marked(newID(3), block.DeletionMark))
}

// vanishing is a bucket whose listings fail so many times because something is
// gone, as those of a filesystem do.
type vanishing struct {
	*blocktest.Bucket
	times int
}

func (v *vanishing) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	err := v.Bucket.IterWithAttributes(ctx, dir, f, opts...)
	if v.times--; v.times >= 0 {
		return blocktest.ErrHidden
	}
	return err
}

func TestListingVanishes(t *testing.T) {
	t.Parallel()
	for times, ok := range map[int]bool{0: true, 1: true, 2: true, 3: false} {
		l, err := block.RecursiveLister().List(context.Background(), &vanishing{world(t, objstore.NewInMemBucket()), times})
		testutil.Equals(t, ok, err == nil, "%v", err)
		if ok {
			testutil.Equals(t, 8, len(l.Blocks))
		}
	}
}

func TestUnreadableMarks(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"torn": `{"id":`, "of the future": `{"id":"` + newID(1).String() + `","version":2}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt := world(t, objstore.NewInMemBucket())
			for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
				put(t, bkt, block.ObjectName(newID(1), kind.File()), content)
			}
			f := newFetcher(t, bkt, "", &block.FetcherOptions{Filters: []block.Filter{block.DeletionMarks(0)}})
			for range 2 {
				v := fetchWith(t, f)
				testutil.Ok(t, v.Incomplete)
				testutil.Equals(t, []int{0, 1, 2, 4}, ids(v.Metas))
				for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
					testutil.Assert(t, v.Marked(newID(1), kind))
					m, err := v.Mark(newID(1), kind)
					testutil.Assert(t, m == nil && (errors.Is(err, block.ErrCorrupt) || errors.Is(err, block.ErrUnsupported)), "%v", err)
				}
			}
		})
	}
}

// In a filesystem, what ends early has not been uploaded.
func TestTornUploads(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func([]byte) []byte
		torn bool
	}{
		"empty":      {func([]byte) []byte { return nil }, true},
		"half":       {func(b []byte) []byte { return b[:len(b)/2] }, true},
		"no end":     {func(b []byte) []byte { return bytes.TrimRight(b, "}\n ") }, true},
		"zeros":      {func(b []byte) []byte { return make([]byte, len(b)) }, true},
		"half zeros": {func(b []byte) []byte { return append(b[:len(b)/2:len(b)/2], make([]byte, len(b))...) }, true},
		"garbage":    {func(b []byte) []byte { return append([]byte("!"), b[:len(b)/2]...) }, false},
		"too much":   {func(b []byte) []byte { return append(slices.Clip(b), '}') }, false},
	} {
		for kind, open := range buckets(t) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				torn, inner := tc.torn && kind == "filesystem", open()
				bkt := world(t, inner)
				whole := map[string][]byte{}
				tear := func(n int, file string) {
					object := block.ObjectName(newID(n), file)
					r, err := inner.Get(t.Context(), object)
					testutil.Ok(t, err)
					whole[object], err = io.ReadAll(r)
					testutil.Ok(t, errors.Join(err, r.Close()))
					put(t, inner, object, string(tc.end(whole[object])))
				}
				tear(0, block.MetaFile)
				for k := block.DeletionMark; k <= block.NoDownsampleMark; k++ {
					mark(t, inner, block.Mark{Kind: k, Block: newID(1), Reason: block.ReasonManual})
					tear(1, k.File())
				}
				f := newFetcher(t, bkt, "", nil)
				v := fetchWith(t, f)
				testutil.Ok(t, v.Incomplete)
				testutil.Assert(t, errors.Is(v.Partial[newID(0)], block.ErrCorrupt), "%v", v.Partial[newID(0)])
				testutil.Equals(t, tc.torn, errors.Is(v.Partial[newID(0)], block.ErrTorn), "%v", v.Partial[newID(0)])
				testutil.Equals(t, torn, errors.Is(v.Partial[newID(0)], block.ErrPartial), "%v", v.Partial[newID(0)])
				for k := block.DeletionMark; k <= block.NoDownsampleMark; k++ {
					testutil.Equals(t, !torn, v.Marked(newID(1), k))
				}
				// They are looked at again when they have been written, however soon.
				if !torn {
					return
				}
				for object, content := range whole {
					put(t, inner, object, string(content))
				}
				v = fetchWith(t, f)
				testutil.Assert(t, v.Metas[newID(0)] != nil)
				for k := block.DeletionMark; k <= block.NoDownsampleMark; k++ {
					m, err := v.Mark(newID(1), k)
					testutil.Ok(t, err)
					testutil.Assert(t, m != nil, "%s", k)
				}
			})
		}
	}
}

func TestFetcherConcurrently(t *testing.T) {
	t.Parallel()
	bkt := world(t, objstore.NewInMemBucket())
	f := newFetcher(t, bkt, t.TempDir(), &block.FetcherOptions{Filters: []block.Filter{block.ReplicaLabels("replica"), block.Duplicates()}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				v, err := f.Fetch(context.Background())
				testutil.Ok(t, err)
				testutil.Equals(t, 5, len(v.Metas))
				testutil.Equals(t, map[string]string{"cluster": "eu1"}, v.Metas[newID(1)].Thanos.Labels)
				v.Exclude(newID(1), "mine")
			}
		})
	}
	wg.Wait()
}
