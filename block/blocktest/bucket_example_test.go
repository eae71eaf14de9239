package blocktest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block/blocktest"
)

// What a process leaves behind when it dies before, in and after the second of
// its uploads.
func ExampleBucket_Cut() {
	ctx := context.Background()
	for _, when := range []blocktest.When{blocktest.Before, blocktest.Torn, blocktest.After} {
		bkt := blocktest.NewBucket(objstore.NewInMemBucket())
		bkt.Cut(2, when)
		for _, name := range []string{"chunks", "index", "meta.json"} {
			if err := bkt.Upload(ctx, name, strings.NewReader("12345678")); errors.Is(err, blocktest.ErrDead) {
				break
			}
		}
		bkt.Revive()
		fmt.Printf("%s:", when)
		err := bkt.Iter(ctx, "", func(name string) error {
			attrs, err := bkt.Attributes(ctx, name)
			fmt.Printf(" %s (%d)", name, attrs.Size)
			return err
		})
		fmt.Println(err)
	}
	// Output:
	// before: chunks (8)<nil>
	// torn: chunks (8) index (4)<nil>
	// after: chunks (8) index (8)<nil>
}

// How often a reader waits for the bucket.
func ExampleNewBucket() {
	ctx := context.Background()
	inner := objstore.NewInMemBucket()
	_ = inner.Upload(ctx, "index", strings.NewReader("0123456789"))
	bkt := blocktest.NewBucket(inner)

	for _, off := range []int64{0, 4} {
		rc, err := bkt.GetRange(ctx, "index", off, 4)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = rc.Close()
	}
	s := bkt.Stats()
	fmt.Println(s.Requests, "requests,", s.Trips, "trips,", s.Gets().Wanted, "bytes,", s.Gets().Read, "of them read")
	// Output: 2 requests, 2 trips, 8 bytes, 0 of them read
}
