package bucketstore

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// expandedKey is the key of what matchers select in a block.
type expandedKey struct {
	text string
	ms   []*labels.Matcher // In the order that the value counts them by.
}

// expandedKey returns the key of matchers in any order, without looking at them
// if there is no cache.
func (x *indexReader) expandedKey(ms []*labels.Matcher) expandedKey {
	if x.cache == nil {
		return expandedKey{}
	}
	k := expandedKey{ms: slices.Clone(ms)}
	slices.SortFunc(k.ms, func(a, b *labels.Matcher) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if a.Type != b.Type {
			return int(a.Type) - int(b.Type)
		}
		return strings.Compare(a.Value, b.Value)
	})
	var text []byte
	for _, m := range k.ms {
		text = append(text, byte(m.Type))
		for _, s := range []string{m.Name, m.Value} {
			text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
		}
	}
	k.text = keyPrefix(itemExpanded, x.block.id) + keyHash(text)
	return k
}

// encode returns the value: which matchers are left, and the series.
func (k *expandedKey) encode(ids []uint32, rest []*labels.Matcher) []byte {
	b := newSealed(1 + len(rest) + 4*len(ids))
	b = binary.AppendUvarint(b, uint64(len(rest)))
	for _, m := range rest {
		b = binary.AppendUvarint(b, uint64(slices.Index(k.ms, m)))
	}
	return appendList(b, ids)
}

// decode is the reverse of encode. It is false for what encode did not write.
func (k *expandedKey) decode(b []byte) (ids list, rest []*labels.Matcher, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(k.ms)) {
		return nil, nil, false
	}
	b = b[size:]
	for range n {
		i, size := binary.Uvarint(b)
		if size <= 0 || i >= uint64(len(k.ms)) {
			return nil, nil, false
		}
		rest = append(rest, k.ms[i])
		b = b[size:]
	}
	return list(b), rest, len(b)%4 == 0
}
