package bucketstore

import (
	"context"
	"encoding/binary"
	"strconv"
)

// Series entries are cached by page: a page is the entries that begin in so many
// bytes of the index, as far as any call has asked for them. A call that reads
// all series needs a hundredth of the keys that one for each would take, and one
// that reads a few puts only these into a page. Two that add to one page at a
// time may lose what one of them has added.
const seriesPage = 16 << 10

// entryPage is the entries of a page that a call asks for.
type entryPage struct {
	key      string
	from, to int    // Of the call's references.
	value    []byte // What is in the cache, nil if nothing is.
	missing  bool   // Whether an entry is not in it.
}

// cachedPages finds entries in the cache, and returns the pages of all.
func (x *indexReader) cachedPages(ctx context.Context, refs []uint64) []entryPage {
	if x.cache == nil || len(refs) == 0 {
		return nil
	}
	var pages []entryPage
	key := []byte(keyPrefix(itemSeries, x.block.id))
	prefix := len(key)
	for i, ref := range refs {
		if i > 0 && ref/seriesPage == refs[i-1]/seriesPage {
			pages[len(pages)-1].to = i + 1
			continue
		}
		key = strconv.AppendUint(key[:prefix], ref/seriesPage, 36)
		pages = append(pages, entryPage{key: string(key), from: i, to: i + 1})
	}
	keys, values := make([]string, len(pages)), make([][]byte, len(pages))
	for i := range pages {
		keys[i] = pages[i].key
	}
	x.cache.get(ctx, itemSeries, keys, values)
	hits := 0
	for i := range pages {
		pages[i].value = values[i]
		hits += x.findInPage(&pages[i], refs)
	}
	x.st.cache(kindSeries, len(refs), hits)
	return pages
}

// findInPage sets the entries that are in a page's value, and returns how many.
func (x *indexReader) findInPage(p *entryPage, refs []uint64) (hits int) {
	i := p.from
	for c := (pageCursor{b: p.value}); i < p.to && c.next(); {
		at := int(refs[i] % seriesPage)
		for at < c.at && i < p.to {
			if i++; i < p.to {
				at = int(refs[i] % seriesPage)
			}
		}
		if i < p.to && at == c.at {
			x.found[i] = foundEntry{b: c.entry, next: c.after}
			hits++
			i++
		}
	}
	p.missing = hits < p.to-p.from
	return hits
}

// cachePages adds the entries that were fetched to their pages.
func (x *indexReader) cachePages(pages []entryPage, refs []uint64) {
	for i := range pages {
		p := &pages[i]
		if !p.missing {
			continue
		}
		size := len(p.value)
		for j := p.from; j < p.to; j++ {
			size += len(x.entry(j)) + 3*binary.MaxVarintLen32
		}
		b := newSealed(size)
		c := pageCursor{b: p.value}
		more := c.next()
		for j := p.from; j < p.to; j++ {
			at := int(refs[j] % seriesPage)
			for ; more && c.at < at; more = c.next() {
				b = appendPage(b, c.at, c.after, c.entry)
			}
			if more && c.at == at {
				more = c.next()
			}
			b = appendPage(b, at, x.found[j].next, x.entry(j))
		}
		for ; more; more = c.next() {
			b = appendPage(b, c.at, c.after, c.entry)
		}
		x.cache.set(p.key, b)
	}
}

// appendPage appends an entry to a page's value: where it is in the page, where
// the chunks of the series after it begin, and its bytes.
func appendPage(b []byte, at int, after uint64, entry []byte) []byte {
	b = binary.AppendUvarint(b, uint64(at))
	b = binary.AppendUvarint(b, after)
	b = binary.AppendUvarint(b, uint64(len(entry)))
	return append(b, entry...)
}

// pageCursor reads a page's value. It ends at what appendPage did not write.
type pageCursor struct {
	b     []byte
	at    int
	after uint64
	entry []byte
}

func (c *pageCursor) next() bool {
	at, k := binary.Uvarint(c.b)
	if k <= 0 || at >= seriesPage {
		return false
	}
	b := c.b[k:]
	after, k := binary.Uvarint(b)
	if k <= 0 {
		return false
	}
	b = b[k:]
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return false
	}
	c.at, c.after, c.entry = int(at), after, b[k:k+int(n):k+int(n)]
	c.b = b[k+int(n):]
	return true
}
