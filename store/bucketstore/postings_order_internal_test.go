package bucketstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// TestPostingsOutOfOrder has lists whose checksums are right and whose entries do
// not ascend: they are no answer, and no panic.
func TestPostingsOutOfOrder(t *testing.T) {
	lsets := make([]labels.Labels, 64)
	for i := range lsets {
		lsets[i] = labels.FromStrings("a", fmt.Sprint(i/32), "b", fmt.Sprintf("%02d", i))
	}
	raw := writeIndex(t, lsets, func(int) int { return 1 })
	for name, m := range map[string]*labels.Matcher{
		"all":   labels.MustNewMatcher(labels.MatchNotEqual, "b", "none"),
		"value": labels.MustNewMatcher(labels.MatchEqual, "a", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndexed(t, raw, 0)
			h, err := x.block.header.Acquire(context.Background())
			testutil.Ok(t, err)
			l := h.All()
			if name == "value" {
				v, _ := h.Values("a")
				l = v.Postings(1)
			}
			x.block.header.Release()
			bad := append([]byte(nil), raw...)
			list := bad[l.Off:][:l.Range().Size]
			first, last := list[8:12], list[8+4*(l.Count-1):][:4]
			a, b := binary.BigEndian.Uint32(first), binary.BigEndian.Uint32(last)
			binary.BigEndian.PutUint32(first, b)
			binary.BigEndian.PutUint32(last, a)
			binary.BigEndian.PutUint32(list[len(list)-4:], crc32.Checksum(list[4:len(list)-4], castagnoli))
			x = newIndexed(t, bad, 0)
			r := x.reader(t, x.source(t, nil, rangeOptions{}), nil)
			refs, _, err := r.postings(context.Background(), []*labels.Matcher{m})
			if err == nil {
				err = r.series(context.Background(), refs, func(int, []byte, uint64) error { return nil })
			}
			testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
		})
	}
}
