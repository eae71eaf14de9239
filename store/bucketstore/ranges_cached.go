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

// fetchCached is fetch with a cache of exactly these parts. Parts that are found
// are used first. With a nil cache it is fetch.
func (r *ranger) fetchCached(ctx context.Context, c *sealedCache, o object, parts []part, st *callStats, use func(i int, b []byte) error) error {
	if c == nil {
		return r.fetch(ctx, o, parts, st, use)
	}
	prefix := keyPrefix(itemChunks, o.block) + o.file + "/"
	keys := make([]string, len(parts))
	for i, p := range parts {
		keys[i] = rangeKey(prefix, p)
	}
	values := make([][]byte, len(parts))
	hits := c.get(ctx, itemChunks, keys, values)
	st.cache(o.kind, len(parts), hits)
	var missing []part
	var at []int // Where they are among parts.
	for i, v := range values {
		if v == nil || int64(len(v)) > parts[i].size || int64(len(v)) < parts[i].size && !o.short {
			missing, at = append(missing, parts[i]), append(at, i)
			continue
		}
		if err := use(i, v); err != nil {
			return err
		}
	}
	return r.fetch(ctx, o, missing, st, func(i int, b []byte) error {
		c.set(keys[at[i]], append(newSealed(len(b)), b...))
		return use(at[i], b)
	})
}
