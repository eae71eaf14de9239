package shipper_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// BenchmarkSyncKnown is what every Sync costs while there is nothing to send.
func BenchmarkSyncKnown(b *testing.B) {
	dir := b.TempDir()
	for n := range 180 { // 15 days
		put(b, dir, spec{n: n, at: 0})
	}
	s := newShipper(b, objstore.NewInMemBucket(), dir, shipper.Options{})
	_, err := s.Sync(b.Context())
	testutil.Ok(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyAndSend is a block of 20,000 series to a bucket that costs
// nothing.
func BenchmarkVerifyAndSend(b *testing.B) {
	dir, values := b.TempDir(), make([]float64, 480)
	for i := range values {
		values[i] = float64(i * i % 9973)
	}
	series := make([]block.Series, 20_000)
	chunks := blocktest.Floats(labels.EmptyLabels(), 0, 15_000, values...).Chunks
	for i := range series {
		series[i] = block.Series{Labels: labels.FromStrings("__name__", "requests_total", "series", newID(i).String()), Chunks: chunks}
	}
	meta, err := block.WriteBlock(dir, &block.Meta{ULID: newID(1)}, series, nil)
	testutil.Ok(b, err)
	var size int64
	for name := range readFiles(b, filepath.Join(dir, meta.ULID.String())) {
		info, err := os.Stat(filepath.Join(dir, meta.ULID.String(), name))
		testutil.Ok(b, err)
		size += info.Size()
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		_ = os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)) // not there the first time
		s := newShipper(b, discardBucket{objstore.NewInMemBucket()}, dir, shipper.Options{})
		res, err := s.Sync(b.Context())
		if err != nil || len(res.Warnings) > 0 {
			b.Fatal(err, res.Warnings)
		}
	}
}

// discardBucket says that it has all that it was sent.
type discardBucket struct{ objstore.Bucket }

func (discardBucket) Upload(_ context.Context, _ string, r io.Reader, _ ...objstore.ObjectUploadOption) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (discardBucket) Exists(_ context.Context, name string) (bool, error) {
	return filepath.Base(name) != block.DeletionMarkFile, nil
}
