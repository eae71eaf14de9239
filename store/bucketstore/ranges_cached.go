package bucketstore

import (
	"context"
	"strings"

	"github.com/thanoskit/thanoskit/block"
)

// chunkRanges reads ranges of the segments of one block.
//
// Concurrency: safe.
type chunkRanges struct {
	ranger *ranger
	cache  *sealedCache // May be nil.
	meta   *block.Meta
}

// fetch is ranger.fetch of an object by its name, with the cache. Where meta.json
// does not say how large the object is, parts may end after it.
func (c *chunkRanges) fetch(ctx context.Context, name string, parts []part, st *callStats, use func(i int, b []byte) error) error {
	file := strings.TrimPrefix(name, c.meta.ULID.String()+"/")
	o := object{block: c.meta.ULID, file: file, name: name, kind: kindChunks}
	known, _ := c.meta.File(file)
	o.short = known.SizeBytes == 0
	return c.ranger.fetchCached(ctx, c.cache, o, parts, st, use)
}

// pieceSize is where ranges are cut that are larger, so that those that overlap
// have most of their pieces in common, and none is too large for a cache.
const pieceSize = 64 << 10

// cutting is how parts are cut into the pieces that are cached.
type cutting struct {
	pieces []part
	first  []int // Of each part, and one more.
}

// cut cuts parts at multiples of pieceSize. A small one stays whole, and so does
// one that may end before the object does: it would not be known in which piece.
func cut(parts []part, whole bool) cutting {
	c := cutting{pieces: make([]part, 0, len(parts)), first: make([]int, 0, len(parts)+1)}
	for _, p := range parts {
		c.first = append(c.first, len(c.pieces))
		for !whole && p.size > pieceSize {
			n := pieceSize - p.off%pieceSize
			c.pieces = append(c.pieces, part{p.off, n})
			p = part{p.off + n, p.size - n}
		}
		c.pieces = append(c.pieces, p)
	}
	c.first = append(c.first, len(c.pieces))
	return c
}

// fetchCached is fetch with a cache. Parts that are found are used first, and so
// the others follow out of order. With a nil cache it is fetch.
func (r *ranger) fetchCached(ctx context.Context, c *sealedCache, o object, parts []part, st *callStats, use func(i int, b []byte) error) error {
	if c == nil {
		return r.fetch(ctx, o, parts, st, use)
	}
	cutting := cut(parts, o.short)
	prefix := keyPrefix(itemChunks, o.block) + o.file + "/"
	keys := make([]string, len(cutting.pieces))
	for i, p := range cutting.pieces {
		keys[i] = rangeKey(prefix, p)
	}
	values := make([][]byte, len(keys))
	hits := c.get(ctx, itemChunks, keys, values)
	st.cache(o.kind, len(keys), hits)
	var missing []part
	var at []int // Where they are among parts.
	for i, p := range parts {
		first, last := cutting.first[i], cutting.first[i+1]
		b, pooled := r.assemble(p, values[first:last], o.short)
		if b == nil {
			missing, at = append(missing, p), append(at, i)
			continue
		}
		err := use(i, b)
		if pooled != nil {
			r.bufs.put(pooled)
		}
		if err != nil {
			return err
		}
	}
	return r.fetch(ctx, o, missing, st, func(i int, b []byte) error {
		first, last := cutting.first[at[i]], cutting.first[at[i]+1]
		for j, p := range cutting.pieces[first:last] {
			if values[first+j] == nil {
				from := p.off - missing[i].off
				piece := b[from:min(from+p.size, int64(len(b)))]
				c.set(keys[first+j], append(newSealed(len(piece)), piece...))
			}
		}
		return use(at[i], b)
	})
}

// assemble returns a part whose pieces were found, nil if one was not. It is in a
// buffer of the pool if there are several.
func (r *ranger) assemble(p part, pieces [][]byte, short bool) (b []byte, pooled *[]byte) {
	size := int64(0)
	for _, v := range pieces {
		if v == nil {
			return nil, nil
		}
		size += int64(len(v))
	}
	switch {
	case size > p.size, size < p.size && !short:
		return nil, nil
	case len(pieces) == 1:
		return pieces[0], nil
	}
	pooled = r.bufs.get(size)
	b = (*pooled)[:0]
	for _, v := range pieces {
		b = append(b, v...)
	}
	return b, pooled
}
