package blocktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block/blocktest"
)

// newBucket makes a Bucket over memory that holds "a" with ten bytes and "d/b"
// with four.
func newBucket(t *testing.T) *blocktest.Bucket {
	t.Helper()
	inner := objstore.NewInMemBucket()
	testutil.Ok(t, inner.Upload(t.Context(), "a", strings.NewReader("0123456789")))
	testutil.Ok(t, inner.Upload(t.Context(), "d/b", strings.NewReader("abcd")))
	return blocktest.NewBucket(inner)
}

// read gets an object whole, or a range of it if length is not 0.
func read(ctx context.Context, bkt objstore.BucketReader, name string, off, length int64) (string, error) {
	var (
		rc  io.ReadCloser
		err error
	)
	if length == 0 {
		rc, err = bkt.Get(ctx, name)
	} else {
		rc, err = bkt.GetRange(ctx, name, off, length)
	}
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(rc)
	return string(data), errors.Join(err, rc.Close())
}

func TestBucketCounts(t *testing.T) {
	t.Parallel()
	bkt := newBucket(t)
	ctx := t.Context()

	_, err := read(ctx, bkt, "a", 0, 0)
	testutil.Ok(t, err)
	got, err := read(ctx, bkt, "a", 8, 100) // Beyond the end.
	testutil.Ok(t, err)
	testutil.Equals(t, "89", got)
	rc, err := bkt.GetRange(ctx, "a", 0, 6)
	testutil.Ok(t, err)
	_, err = io.CopyN(io.Discard, rc, 1) // Asked for more than is read.
	testutil.Ok(t, err)
	testutil.Equals(t, 1, bkt.OpenBodies())
	testutil.Ok(t, rc.Close())
	testutil.Ok(t, rc.Close())
	testutil.Equals(t, 0, bkt.OpenBodies())

	_, err = bkt.Attributes(ctx, "none")
	testutil.Assert(t, bkt.IsObjNotFoundErr(err))
	ok, err := bkt.Exists(ctx, "a")
	testutil.Ok(t, err)
	testutil.Assert(t, ok)
	testutil.Ok(t, bkt.Upload(ctx, "c", strings.NewReader("xyz")))
	testutil.Ok(t, bkt.Delete(ctx, "c"))
	testutil.Ok(t, bkt.Iter(ctx, "", func(string) error { return nil }))
	testutil.Ok(t, bkt.Step("rename"))

	want := map[string]blocktest.OpStats{
		objstore.OpGet:        {Requests: 1, Wanted: 10, Read: 10},
		objstore.OpGetRange:   {Requests: 2, Wanted: 8, Read: 3},
		objstore.OpAttributes: {Requests: 1, Errors: 1},
		objstore.OpExists:     {Requests: 1},
		objstore.OpUpload:     {Requests: 1, Written: 3},
		objstore.OpDelete:     {Requests: 1},
		objstore.OpIter:       {Requests: 1, Entries: 2},
	}
	stats := bkt.Stats()
	if d := cmp.Diff(want, stats.Ops); d != "" {
		t.Errorf("operations differ (-want +got):\n%s", d)
	}
	testutil.Equals(t, 8, stats.Requests)
	testutil.Equals(t, blocktest.OpStats{Requests: 3, Wanted: 18, Read: 13}, stats.Gets())
	reqs := bkt.Requests()
	testutil.Equals(t, 9, len(reqs))
	testutil.Equals(t, blocktest.Request{N: 2, Op: objstore.OpGetRange, Name: "a", Off: 8, Length: 100}, reqs[1])
	testutil.Equals(t, "2 get_range a [8, +100)", reqs[1].String())
	testutil.Equals(t, "9 step rename", reqs[8].String())

	bkt.Reset()
	testutil.Equals(t, 0, bkt.Stats().Requests)
	testutil.Equals(t, 0, len(bkt.Requests()))
	_, err = bkt.Exists(ctx, "a")
	testutil.Ok(t, err)
	testutil.Equals(t, 10, bkt.Requests()[0].N) // Numbers go on.
}

func TestBucketListsPageByPage(t *testing.T) {
	t.Parallel()
	inner := objstore.NewInMemBucket()
	var want []string
	for i := range 2001 {
		name := fmt.Sprintf("%04d", i)
		want = append(want, name)
		testutil.Ok(t, inner.Upload(t.Context(), name, strings.NewReader("")))
	}
	bkt := blocktest.NewBucket(inner)
	var got []string
	testutil.Ok(t, bkt.Iter(t.Context(), "", func(name string) error {
		got = append(got, name)
		return nil
	}))
	testutil.Assert(t, slices.Equal(want, got))
	testutil.Equals(t, blocktest.OpStats{Requests: 3, Entries: 2001}, bkt.Stats().Ops[objstore.OpIter])

	// The second page fails after the first was seen.
	bkt.Fail(blocktest.EveryNth(2, blocktest.ErrFault))
	seen := 0
	err := bkt.IterWithAttributes(t.Context(), "", func(objstore.IterObjectAttributes) error {
		seen++
		return nil
	}, objstore.WithUpdatedAt())
	testutil.Assert(t, errors.Is(err, blocktest.ErrFault))
	testutil.Equals(t, 1000, seen)
}

func TestBucketTrips(t *testing.T) {
	t.Parallel()
	const latency = 20 * time.Millisecond
	// Each stage makes its requests together and begins when all are answered.
	for _, tc := range []struct {
		name       string
		stages     []int
		trips, top int
	}{
		{"none", nil, 0, 0},
		{"one", []int{1}, 1, 1},
		{"together", []int{8}, 1, 8},
		{"one after the other", []int{1, 1, 1}, 3, 1},
		{"mixed", []int{3, 1, 5}, 3, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bkt := newBucket(t)
				bkt.Delay(blocktest.Latency(latency))
				start := time.Now()
				for _, n := range tc.stages {
					var wg sync.WaitGroup
					for range n {
						wg.Go(func() {
							_, err := read(t.Context(), bkt, "a", 1, 2)
							testutil.Ok(t, err)
						})
					}
					wg.Wait()
				}
				testutil.Equals(t, tc.trips, bkt.Stats().Trips)
				testutil.Equals(t, tc.top, bkt.Stats().Concurrent)
				testutil.Equals(t, time.Duration(tc.trips)*latency, time.Since(start))
			})
		})
	}
}

func TestBucketFaults(t *testing.T) {
	t.Parallel()
	is := func(want error) func(*blocktest.Bucket, error) bool {
		return func(_ *blocktest.Bucket, err error) bool { return errors.Is(err, want) }
	}
	for _, tc := range []struct {
		name string
		set  func(*blocktest.Bucket)
		want string
		err  func(*blocktest.Bucket, error) bool // nil = no error.
	}{
		{"none", func(*blocktest.Bucket) {}, "0123456789", nil},
		{"failing", func(b *blocktest.Bucket) { b.Fail(blocktest.EveryNth(1, io.ErrClosedPipe)) }, "", is(io.ErrClosedPipe)},
		{"the second fails", func(b *blocktest.Bucket) { b.Fail(blocktest.EveryNth(2, io.ErrClosedPipe)) }, "0123456789", nil},
		{"denied", func(b *blocktest.Bucket) { b.Fail(blocktest.Deny(nil)) }, "", (*blocktest.Bucket).IsAccessDeniedErr},
		{
			"others denied",
			func(b *blocktest.Bucket) {
				b.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Name == "d/b" }))
			},
			"0123456789", nil,
		},
		{"hidden", func(b *blocktest.Bucket) { b.Hide(func(name string) bool { return name == "a" }) }, "", (*blocktest.Bucket).IsObjNotFoundErr},
		{"truncated", func(b *blocktest.Bucket) { b.Body(blocktest.Truncated(3)) }, "012", nil},
		{"broken", func(b *blocktest.Bucket) { b.Body(blocktest.Broken(3, io.ErrUnexpectedEOF)) }, "012", is(io.ErrUnexpectedEOF)},
		{"broken where it ends", func(b *blocktest.Bucket) { b.Body(blocktest.Broken(10, io.ErrUnexpectedEOF)) }, "0123456789", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bkt := newBucket(t)
			tc.set(bkt)
			got, err := read(t.Context(), bkt, "a", 0, 0)
			testutil.Equals(t, tc.want, got)
			if tc.err == nil {
				testutil.Ok(t, err)
			} else {
				testutil.Assert(t, tc.err(bkt, err), "error: %v", err)
			}
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	}
}

func TestBucketHidesWhatIsListed(t *testing.T) {
	t.Parallel()
	bkt := newBucket(t)
	bkt.Hide(func(string) bool { return true })
	var names []string
	testutil.Ok(t, bkt.Iter(t.Context(), "", func(name string) error {
		names = append(names, name)
		return nil
	}, objstore.WithRecursiveIter()))
	testutil.Equals(t, []string{"a", "d/b"}, names)
	ok, err := bkt.Exists(t.Context(), "a")
	testutil.Ok(t, err)
	testutil.Assert(t, !ok)
	_, err = bkt.Attributes(t.Context(), "a")
	testutil.Assert(t, bkt.IsObjNotFoundErr(err))
}

func TestBucketHeedsContext(t *testing.T) {
	t.Parallel()
	bkt := newBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := bkt.Get(ctx, "a")
	testutil.Ok(t, err)
	cancel()
	_, err = io.ReadAll(rc)
	testutil.Assert(t, errors.Is(err, context.Canceled))
	testutil.Ok(t, rc.Close())
	_, err = bkt.Get(ctx, "a")
	testutil.Assert(t, errors.Is(err, context.Canceled))
	testutil.Equals(t, 1, bkt.Stats().Requests)

	bkt.Delay(blocktest.Latency(time.Hour))
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := bkt.Get(ctx, "a")
		done <- err
	}()
	cancel()
	testutil.Assert(t, errors.Is(<-done, context.Canceled))
}

// move is a process of four requests and a step: it writes what is to last of
// "a" and "d/b" to "out".
func move(ctx context.Context, bkt *blocktest.Bucket) error {
	a, err := read(ctx, bkt, "a", 0, 0)
	if err != nil {
		return err
	}
	b, err := read(ctx, bkt, "d/b", 1, 2)
	if err != nil {
		return err
	}
	if err := bkt.Step("join"); err != nil {
		return err
	}
	if err := bkt.Upload(ctx, "out", strings.NewReader(a+b)); err != nil {
		return err
	}
	return bkt.Delete(ctx, "a")
}

func TestBucketCut(t *testing.T) {
	t.Parallel()
	for _, when := range []blocktest.When{blocktest.Before, blocktest.Torn, blocktest.After} {
		t.Run(when.String(), func(t *testing.T) {
			t.Parallel()
			// What is in the bucket once the process has died at the n-th request.
			out := map[blocktest.When]string{blocktest.Before: "", blocktest.Torn: "012345", blocktest.After: "0123456789bc"}[when]
			want := []string{
				"a=0123456789",
				"a=0123456789",
				"a=0123456789",
				"a=0123456789 out=" + out,
				"a=0123456789 out=0123456789bc",
				"out=0123456789bc",
			}
			if when == blocktest.Before {
				want[3] = "a=0123456789"
			}
			if when == blocktest.After {
				want[4] = want[5]
			}
			var got []string
			for n := 1; ; n++ {
				bkt := newBucket(t)
				bkt.Cut(n, when)
				err := move(t.Context(), bkt)
				alive := !bkt.Dead()
				if alive {
					testutil.Ok(t, err)
				} else {
					testutil.Assert(t, errors.Is(err, blocktest.ErrDead), "cut %d: %v", n, err)
					testutil.Assert(t, errors.Is(bkt.Step("more"), blocktest.ErrDead))
				}
				bkt.Revive()
				testutil.Ok(t, bkt.Step("more"))
				var left []string
				for _, name := range []string{"a", "out"} {
					if data, err := read(t.Context(), bkt, name, 0, 0); err == nil {
						left = append(left, name+"="+data)
					}
				}
				got = append(got, strings.Join(left, " "))
				testutil.Equals(t, 0, bkt.OpenBodies())
				if alive {
					break
				}
			}
			testutil.Equals(t, want, got)
		})
	}
}

// A request at which the process is to die by half has no half if it fails, and
// need not be read to its half.
func TestBucketCutComes(t *testing.T) {
	t.Parallel()
	bkt := newBucket(t)
	bkt.Cut(1, blocktest.Torn)
	_, err := bkt.Get(t.Context(), "none")
	testutil.Assert(t, errors.Is(err, blocktest.ErrDead))
	testutil.Assert(t, bkt.Dead())

	bkt.Revive()
	bkt.Cut(1, blocktest.Torn)
	rc, err := bkt.Get(t.Context(), "a")
	testutil.Ok(t, err)
	testutil.Ok(t, rc.Close())
	testutil.Assert(t, bkt.Dead())

	// Bodies that are open end with the process.
	bkt.Revive()
	rc, err = bkt.Get(t.Context(), "a")
	testutil.Ok(t, err)
	bkt.Cut(1, blocktest.Before)
	testutil.NotOk(t, bkt.Delete(t.Context(), "a"))
	_, err = io.ReadAll(rc)
	testutil.Assert(t, errors.Is(err, blocktest.ErrDead))
	testutil.Ok(t, rc.Close())
}

func TestBucketOverFilesystem(t *testing.T) {
	t.Parallel()
	inner, err := filesystem.NewBucket(t.TempDir())
	testutil.Ok(t, err)
	bkt := blocktest.NewBucket(inner)
	objstore.AcceptanceTest(t, bkt)

	bkt.Cut(1, blocktest.Torn)
	err = bkt.Upload(t.Context(), "x", bytes.NewReader(make([]byte, 100)))
	testutil.Assert(t, errors.Is(err, blocktest.ErrDead))
	bkt.Revive()
	attrs, err := bkt.Attributes(t.Context(), "x")
	testutil.Ok(t, err)
	testutil.Equals(t, int64(50), attrs.Size)
	testutil.Ok(t, bkt.Close())
}

// The n-th request is the last of a process that dies before it, however many are
// made at a time. Of one that dies after it, others may be made until it is answered.
func TestBucketConcurrently(t *testing.T) {
	t.Parallel()
	const callers, each, cut = 8, 100, 600
	for _, when := range []blocktest.When{blocktest.Before, blocktest.After} {
		t.Run(when.String(), func(t *testing.T) {
			t.Parallel()
			bkt := newBucket(t)
			bkt.Fail(blocktest.EveryNth(3, blocktest.ErrFault))
			bkt.Cut(cut, when)
			var (
				wg                     sync.WaitGroup
				answers, faults, deads atomic.Int64
			)
			for range callers {
				wg.Go(func() {
					for range each {
						switch _, err := read(t.Context(), bkt, "a", 2, 3); {
						case err == nil:
							answers.Add(1)
						case errors.Is(err, blocktest.ErrDead):
							deads.Add(1)
						case errors.Is(err, blocktest.ErrFault):
							faults.Add(1)
						}
					}
				})
			}
			wg.Wait()
			testutil.Assert(t, bkt.Dead())
			testutil.Equals(t, 0, bkt.OpenBodies())
			testutil.Equals(t, int64(callers*each), answers.Load()+faults.Load()+deads.Load())
			requests := bkt.Stats().Requests
			if when == blocktest.After {
				testutil.Assert(t, requests >= cut && deads.Load() > 0, "%d requests, %d of them dead", requests, deads.Load())
				return
			}
			testutil.Equals(t, cut, requests)
			// Each of the others may have had one under way at that moment, whose answer nobody heard.
			refused, heard := int64(callers*each-cut+1), int64((cut-1)/3)
			testutil.Assert(t, deads.Load() >= refused && deads.Load() < refused+callers, "%d refused", deads.Load())
			testutil.Assert(t, faults.Load() > heard-callers && faults.Load() <= heard, "%d faults", faults.Load())
		})
	}
}
