// Package indexheader keeps of a block's index what is needed to find postings
// and to read series: symbols, label names and values, where each postings list
// lies and how long it is. It is read from the bucket once, kept in a local file,
// and mapped into memory while it is used.
//
//	pool := indexheader.NewPool(bkt, dir, nil)
//	lazy := pool.Block(meta)
//	h, err := lazy.Acquire(ctx) // built by the first that asks
//	defer lazy.Release()
//	values, ok := h.Values("job")
//	postings := values.Postings(i)
//
// # Bucket
//
// An index of at most Options.SmallIndex bytes is read by one request. Of a
// larger one the end is read, which has the table of contents and most likely
// the whole table of postings; then, at once, the symbols and what is missing of
// the table. Its size is known from meta.json, or asked for. Indexes of version 1
// and 2 are understood (Prometheus tsdb/docs/format/index.md); the two differ in
// what a symbol reference and a postings entry is, and only Header.Symbol and
// Header.SeriesUnit need to know.
//
// # File
//
// All integers are little endian.
//
//	head     128 bytes: magic, version, block, counts, sizes, checksums
//	strings  the symbols as they are in the index: uvarint length, bytes, ...
//	offsets  4 bytes for each string: where it begins
//	names    16 bytes for each label name: string, first value, entries of all values
//	values   16 bytes for each label value: string, entries, offset of its postings
//
// Names ascend, and so do the values of each name, by bytes: they are found by
// binary search, all else by position. The file is written beside its place,
// synced if it took more than one request, and renamed, and it is checked in full
// when it is opened: one that was cut short or damaged is built anew. The format
// is our own, and only its version ties two releases: a file of another version is
// built anew too.
package indexheader
