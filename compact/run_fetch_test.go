package compact_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// indexes is a bucket that counts how many indexes are read at a time.
type indexes struct {
	objstore.Bucket
	began chan struct{} // has a value for each that was begun

	mu            sync.Mutex
	reading, most int
}

func (b *indexes) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := b.Bucket.Get(ctx, name)
	if err != nil || !strings.HasSuffix(name, "/"+block.IndexFile) {
		return r, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading++
	b.most = max(b.most, b.reading)
	b.began <- struct{}{}
	return &reading{r, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reading--
	})}, nil
}

type reading struct {
	io.ReadCloser
	end func()
}

func (r *reading) Close() error {
	r.end()
	return r.ReadCloser.Close()
}

// While a source is looked at, the next is downloaded, and no more than one at a
// time.
func TestSourceIsLookedAtMeanwhile(t *testing.T) {
	t.Parallel()
	mem, _, ids := newRun(t, nil)
	bkt := &indexes{Bucket: mem, began: make(chan struct{}, len(ids))}
	c, err := compact.New(bkt, t.TempDir(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var first sync.Once
	c.SetVerify(func() {
		first.Do(func() {
			for range 2 { // its own, and that of the next
				select {
				case <-bkt.began:
				case <-ctx.Done():
				}
			}
		})
	})
	r, err := c.RunOnce(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, r.Compactions)
	testutil.Equals(t, 1, bkt.most)
}
