package bucketstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// rewrite changes an object of a block in its bucket.
func rewrite(t testing.TB, bkt *blocktest.Bucket, id ulid.ULID, file string, change func([]byte)) {
	t.Helper()
	ctx, name := context.Background(), block.ObjectName(id, file)
	r, err := bkt.Unwrap().Get(ctx, name)
	testutil.Ok(t, err)
	b, err := io.ReadAll(r)
	testutil.Ok(t, err)
	b = bytes.Clone(b)
	change(b)
	testutil.Ok(t, bkt.Unwrap().Upload(ctx, name, bytes.NewReader(b)))
}

// about reports whether a request is about a block's file, or any of a directory.
func about(id ulid.ULID, file string) func(blocktest.Request) bool {
	return func(r blocktest.Request) bool { return strings.HasPrefix(r.Name, block.ObjectName(id, file)) }
}

// two is a bucket with two blocks, of which one comes to harm.
type two struct {
	bkt       *blocktest.Bucket
	good, bad *block.Meta
}

// names of the series in each block, and of those in one only.
const perBlock = 40

func newTwo(t testing.TB) *two {
	f := &two{bkt: newBucket()}
	series := func(from int64, prefix string) (out []block.Series) {
		for i := range perBlock {
			lset := labels.FromStrings("__name__", fmt.Sprintf("%s%03d", prefix, i))
			out = append(out, blocktest.Floats(lset, from, 1000, make([]float64, 400)...))
			lset = labels.FromStrings("__name__", fmt.Sprintf("shared%03d", i))
			out = append(out, blocktest.Floats(lset, from, 1000, make([]float64, 400)...))
		}
		return out
	}
	f.good = put(t, f.bkt, nil, series(0, "good")...)
	f.bad = put(t, f.bkt, nil, series(hour, "bad")...)
	return f
}

// count returns how many series of which kind were sent, and how many chunks.
func count(t testing.TB, a *answer) (good, bad, shared, chunks int) {
	t.Helper()
	seen := map[string]bool{}
	for _, s := range a.series {
		name := s.Labels.Get("__name__")
		testutil.Assert(t, !seen[name], "%s was sent twice", name)
		seen[name] = true
		for i := 1; i < len(s.Chunks); i++ {
			testutil.Assert(t, s.Chunks[i-1].MinTime < s.Chunks[i].MinTime, "%s: a chunk was sent twice", name)
		}
		chunks += len(s.Chunks)
		switch {
		case strings.HasPrefix(name, "good"):
			good++
		case strings.HasPrefix(name, "bad"):
			bad++
		default:
			shared++
		}
	}
	return good, bad, shared, chunks
}

// TestFaults has one of two blocks come to harm after the Store has opened. What
// the other one has must be sent, with a warning that names block and cause; or
// the error says so.
func TestFaults(t *testing.T) {
	t.Parallel()
	const chunksOf = 4 // each series, in each block
	for _, tc := range []struct {
		name  string
		harm  func(t testing.TB, f *two)
		is    error
		file  string // of a *block.CorruptError
		keeps int    // of the bad block's chunks; -1 for any but all
	}{
		{name: "chunks vanish", is: block.ErrNotFound, harm: func(_ testing.TB, f *two) {
			f.bkt.Hide(func(name string) bool { return strings.HasPrefix(name, f.bad.ULID.String()+"/chunks/") })
		}},
		{name: "index vanishes", is: block.ErrNotFound, harm: func(_ testing.TB, f *two) {
			f.bkt.Hide(func(name string) bool { return name == f.bad.ULID.String()+"/index" })
		}},
		{name: "access to chunks denied", is: bucketstore.ErrAccessDenied, harm: func(_ testing.TB, f *two) {
			f.bkt.Fail(blocktest.Deny(about(f.bad.ULID, "chunks")))
		}},
		{name: "access to the index denied", is: bucketstore.ErrAccessDenied, harm: func(_ testing.TB, f *two) {
			f.bkt.Fail(blocktest.Deny(about(f.bad.ULID, "index")))
		}},
		{name: "bucket fails", is: blocktest.ErrFault, harm: func(_ testing.TB, f *two) {
			bad := about(f.bad.ULID, "")
			f.bkt.Fail(func(r blocktest.Request) error {
				if bad(r) {
					return blocktest.ErrFault
				}
				return nil
			})
		}},
		{name: "index truncated", is: block.ErrCorrupt, file: "index", harm: func(_ testing.TB, f *two) {
			truncate(f, "index")
		}},
		{name: "chunks truncated", is: block.ErrCorrupt, file: "chunks/000001", harm: func(_ testing.TB, f *two) {
			truncate(f, "chunks")
		}},
		{name: "index is garbage", is: block.ErrCorrupt, file: "index", harm: func(t testing.TB, f *two) {
			rewrite(t, f.bkt, f.bad.ULID, "index", func(b []byte) { rand.New(rand.NewSource(1)).Read(b) })
		}},
		{name: "one chunk damaged", is: block.ErrCorrupt, file: "chunks/000001", keeps: 2*perBlock*chunksOf - 1, harm: func(t testing.TB, f *two) {
			rewrite(t, f.bkt, f.bad.ULID, "chunks/000001", func(b []byte) { b[20] ^= 1 })
		}},
		{name: "all chunks are garbage", is: block.ErrCorrupt, file: "chunks/000001", harm: func(t testing.TB, f *two) {
			rewrite(t, f.bkt, f.bad.ULID, "chunks/000001", func(b []byte) { rand.New(rand.NewSource(2)).Read(b) })
		}},
		{name: "all chunks are zero", is: block.ErrCorrupt, file: "chunks/000001", harm: func(t testing.TB, f *two) {
			rewrite(t, f.bkt, f.bad.ULID, "chunks/000001", func(b []byte) { clear(b) })
		}},
		{name: "unknown encodings", is: block.ErrUnsupported, keeps: 2*perBlock*chunksOf - 1, harm: func(t testing.TB, f *two) {
			rewrite(t, f.bkt, f.bad.ULID, "chunks/000001", func(b []byte) { reencode(b, 77) })
		}},
	} {
		for name, opts := range map[string]*bucketstore.Options{"": nil, ", small batches": {BatchSize: 3, CallBytes: 1}} {
			t.Run(tc.name+name, func(t *testing.T) {
				t.Parallel()
				f := newTwo(t)
				s := open(t, f.bkt, opts)
				tc.harm(t, f)
				a, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour})
				testutil.Ok(t, err)
				good, _, shared, chunks := count(t, a)
				testutil.Equals(t, perBlock, good)
				testutil.Equals(t, perBlock, shared)
				testutil.Equals(t, 2*perBlock*chunksOf+tc.keeps, chunks)
				testutil.Equals(t, 1, len(a.warnings), "%v", a.warnings)
				check := func(err error) {
					t.Helper()
					blockErr, ok := errors.AsType[*bucketstore.BlockError](err)
					testutil.Assert(t, ok && blockErr.Block == f.bad.ULID, "%v", err)
					testutil.Assert(t, errors.Is(err, tc.is), "%v", err)
					if tc.file != "" {
						corrupt, ok := errors.AsType[*block.CorruptError](err)
						testutil.Assert(t, ok && corrupt.Block == f.bad.ULID && corrupt.File == tc.file, "%v", err)
					}
				}
				check(a.warnings[0])

				_, err = ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour, Strategy: store.Abort})
				check(err)
				// What does not need the block is as ever.
				a, err = ask(t, s, &store.SeriesRequest{MaxTime: hour - 1, Strategy: store.Abort})
				testutil.Ok(t, err)
				testutil.Equals(t, 2*perBlock, len(a.series))
			})
		}
	}
}

// truncate ends what is read of the bad block after some bytes.
func truncate(f *two, file string) {
	bad := about(f.bad.ULID, file)
	f.bkt.Body(func(r blocktest.Request, body io.Reader) io.Reader {
		if bad(r) {
			return io.LimitReader(body, 10)
		}
		return body
	})
}

// reencode changes the encoding of the first chunk of a segment, with the right
// checksum.
func reencode(b []byte, encoding byte) {
	const header = 8 // of a segment
	size, n := uvarint(b[header:])
	from := header + n
	b[from] = encoding
	putChecksum(b[from:from+1+size], b[from+1+size:])
}

// TestFaultsEveryNth fails every n-th request. Whatever is sent is right and sent
// once; what is missing is warned of.
func TestFaultsEveryNth(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, &bucketstore.Options{BatchSize: 5, CallBytes: 1})
	complete, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour})
	testutil.Ok(t, err)
	failed, whole := 0, 0
	for n := int64(1); n < 80; n++ {
		f.bkt.Fail(blocktest.EveryNth(n, blocktest.ErrFault))
		a, err := ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour})
		testutil.Ok(t, err)
		_, _, _, chunks := count(t, a)
		if len(a.warnings) == 0 {
			whole++
			_, _, _, want := count(t, complete)
			testutil.Equals(t, want, chunks)
			continue
		}
		failed++
		testutil.Assert(t, len(a.warnings) <= 2, "%v", a.warnings)
		for _, w := range a.warnings {
			_, ok := errors.AsType[*bucketstore.BlockError](w)
			testutil.Assert(t, ok && errors.Is(w, blocktest.ErrFault), "%v", w)
		}
		f.bkt.Fail(blocktest.EveryNth(n, blocktest.ErrFault))
		_, err = ask(t, s, &store.SeriesRequest{MaxTime: 10 * hour, Strategy: store.Abort})
		testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
	}
	testutil.Assert(t, failed > 10 && whole > 10, "%d failed, %d whole", failed, whole)
}

// TestVanishesDuringCall deletes a block when some of it has been sent.
func TestVanishesDuringCall(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, &bucketstore.Options{BatchSize: 4, CallBytes: 1})
	var sent atomic.Int64
	f.bkt.Hide(func(name string) bool { return strings.HasPrefix(name, f.bad.ULID.String()) && sent.Load() > 10 })
	a := &answer{outcome: &store.Outcome{}}
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: 10 * hour}, a.outcome) {
		testutil.Ok(t, err)
		a.series = append(a.series, series)
		sent.Add(1)
	}
	good, bad, shared, _ := count(t, a)
	testutil.Equals(t, perBlock, good)
	testutil.Equals(t, perBlock, shared)
	testutil.Assert(t, bad > 0, "none of the block was sent")
	ws := a.outcome.Warnings()
	testutil.Equals(t, 1, len(ws))
	testutil.Assert(t, errors.Is(ws[0], block.ErrNotFound) && strings.Contains(ws[0].Error(), f.bad.ULID.String()), "%v", ws[0])
}

// TestLabelFaults asks for labels that one of two blocks has.
func TestLabelFaults(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, nil)
	f.bkt.Fail(blocktest.Deny(about(f.bad.ULID, "")))
	ctx := context.Background()
	ms := []*labels.Matcher{matcher(labels.MatchRegexp, "__name__", "good.*|bad.*")}
	out := &store.Outcome{}
	values, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "__name__", MaxTime: 10 * hour, Matchers: ms, Outcome: out})
	testutil.Ok(t, err)
	testutil.Equals(t, perBlock, len(values))
	testutil.Equals(t, 1, len(out.Warnings()))
	testutil.Assert(t, errors.Is(out.Warnings()[0], bucketstore.ErrAccessDenied), "%v", out.Warnings())
	_, err = s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 10 * hour, Matchers: ms, Strategy: store.Abort})
	blockErr, ok := errors.AsType[*bucketstore.BlockError](err)
	testutil.Assert(t, ok && blockErr.Block == f.bad.ULID && blockErr.Op == "select series", "%v", err)
}

// TestCancel gives up while the bucket does not answer.
func TestCancel(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, nil)
	f.bkt.Delay(blocktest.Latency(time.Hour))
	for range 3 {
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("given up")
		time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
		err := s.Series(ctx, &store.SeriesRequest{MaxTime: 10 * hour}, &sink{})
		testutil.Assert(t, errors.Is(err, cause), "%v", err)
		_, err = s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: hour, Matchers: []*labels.Matcher{matcher(labels.MatchEqual, "a", "b")}})
		testutil.Assert(t, errors.Is(err, cause), "%v", err)
	}
}

// TestWriterFails ends a call when its reader has had enough, whatever is under
// way.
func TestWriterFails(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	s := open(t, f.bkt, &bucketstore.Options{BatchSize: 2, CallBytes: 1})
	stop := errors.New("enough")
	for after := range 20 {
		n := 0
		err := s.Series(context.Background(), &store.SeriesRequest{MaxTime: 10 * hour}, writerFunc(func() error {
			if n++; n > after {
				return stop
			}
			return nil
		}))
		testutil.Equals(t, stop, err)
		testutil.Equals(t, after+1, n)
	}
	testutil.Equals(t, 0, f.bkt.OpenBodies())
}

// writerFunc is called for each series.
type writerFunc func() error

func (f writerFunc) Send(*store.Series) error { return f() }
func (f writerFunc) Warn(err error) error     { return err }
