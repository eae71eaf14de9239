package bucketstore_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// keeper retains the frames that it is sent, and remembers what was in them.
type keeper struct {
	frames []*encoded.Frame
	copies [][]*store.Series
}

func (k *keeper) Send(*store.Series) error { return fmt.Errorf("plain series") }
func (k *keeper) Warn(err error) error     { return err }

func (k *keeper) SendFrame(f *encoded.Frame) error {
	f.Retain()
	k.frames, k.copies = append(k.frames, f), append(k.copies, plain(f))
	return nil
}

func plain(f *encoded.Frame) (out []*store.Series) {
	sb := labels.NewScratchBuilder(0)
	for i := range f.Series {
		out = append(out, wire.Plain(&f.Series[i], &sb))
	}
	return out
}

// TestFramesLast keeps frames until after the calls that sent them, while other
// calls use memory that was given up: they must not change. Then they are given
// up too.
func TestFramesLast(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	for i := range 3 {
		var series []block.Series
		for j := range 400 {
			lset := labels.FromStrings("__name__", "m", "id", fmt.Sprint(j), "replica", fmt.Sprint(j%2))
			series = append(series, blocktest.Floats(lset, int64(i)*hour, 1000, make([]float64, 200)...))
		}
		put(t, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "x")}, series...)
	}
	for name, opts := range map[string]*bucketstore.Options{"": nil, "small batches": {BatchSize: 16, CallBytes: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, bkt, opts)
			var kept keeper
			for _, req := range []*store.SeriesRequest{
				{MaxTime: 10 * hour},                  // merged
				{MaxTime: hour / 2},                   // of one block
				{MaxTime: 10 * hour, Limit: 100},      // ends early
				{MaxTime: hour / 2, SkipChunks: true}, // labels only
				{MaxTime: 10 * hour, WithoutReplicaLabels: []string{"replica"}},
			} {
				testutil.Ok(t, s.Series(context.Background(), req, &kept))
				testutil.Ok(t, s.Series(context.Background(), req, &sink{}))
			}
			for i, f := range kept.frames {
				testutil.Assert(t, f.Size > 0)
				testutil.Equals(t, kept.copies[i], plain(f))
				for j := 1; j < len(f.Series); j++ {
					testutil.Assert(t, encoded.CompareLabels(f.Series[j-1].Labels, f.Series[j].Labels) < 0)
				}
			}
			for _, f := range slices.Backward(kept.frames) {
				f.Release()
			}
		})
	}
}

// TestPagesGivenUp has three blocks of the same series, whose pages are given up
// when the frames that were merged of them are, and not before.
func TestPagesGivenUp(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	for i := range int64(3) {
		put(t, bkt, nil, at(i*hour, 1, "a", "b", "c")...)
	}
	s := open(t, bkt, nil)
	given := bucketstore.CountPages(s)
	for name, req := range map[string]*store.SeriesRequest{
		"merged": {MaxTime: 10 * hour}, "of one block": {MaxTime: hour / 2}, "ends early": {MaxTime: 10 * hour, Limit: 1},
	} {
		var kept keeper
		given.Store(0)
		testutil.Ok(t, s.Series(context.Background(), req, &kept))
		held := int64(3)
		if name == "of one block" {
			held = 1
		}
		testutil.Equals(t, int64(0), given.Load(), name)
		for _, f := range kept.frames {
			f.Release()
		}
		testutil.Equals(t, held, given.Load(), name)
	}
}
