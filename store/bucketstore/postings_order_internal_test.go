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

// TestAllPostingsShort has an index whose list of all series has one entry, if
// its table of postings is right: what is read of others is not measured by it.
func TestAllPostingsShort(t *testing.T) {
	lsets := make([]labels.Labels, 20_000)
	for i := range lsets {
		lsets[i] = labels.FromStrings("a", fmt.Sprint(i/10_000), "b", fmt.Sprintf("%05d", i))
	}
	raw := writeIndex(t, lsets, func(int) int { return 1 })
	table := raw[binary.BigEndian.Uint64(raw[len(raw)-4-8:]):]
	at, size := binary.Uvarint(table[11:])
	changed := binary.AppendUvarint(nil, at+4*uint64(len(lsets)-1))
	testutil.Equals(t, []byte{2, 0, 0}, table[8:11])
	testutil.Equals(t, size, len(changed))
	copy(table[11:], changed)
	n := binary.BigEndian.Uint32(table)
	binary.BigEndian.PutUint32(table[4+n:], crc32.Checksum(table[4:4+n], castagnoli))

	x := newIndexed(t, raw, 0)
	st := &callStats{}
	r := x.reader(t, x.source(t, nil, rangeOptions{}), st)
	testutil.Equals(t, 1, r.header.SeriesCount())
	refs, _, err := r.postings(context.Background(), []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "1")})
	testutil.Ok(t, err)
	testutil.Equals(t, 10_000, len(refs))
	got := 0
	testutil.Ok(t, r.series(context.Background(), refs, func(int, []byte, uint64) error { got++; return nil }))
	testutil.Equals(t, len(refs), got)
	testutil.Assert(t, cap(r.arena) <= 2*len(raw), "%d bytes for an index of %d", cap(r.arena), len(raw))
}
