// Package block is what lies in object storage: blocks of the Prometheus TSDB
// with the section that Thanos adds, the marks beside them, and how they get
// there and back so that readers see each of them as a whole or not at all.
//
//	meta, err := block.Upload(ctx, bkt, "data/01J...", nil)
//	...
//	fetcher, err := block.NewFetcher(bkt, cacheDir, nil)
//	view, err := fetcher.Fetch(ctx) // all blocks of the bucket
//
// # Layout
//
// A block is a directory, in a bucket a prefix, that is named by its ULID:
//
//	<ULID>/meta.json              what the block is; written last, deleted first
//	<ULID>/index                  symbols, series, postings (TSDB index, version 1 or 2)
//	<ULID>/chunks/000001 ...      segments of chunks
//	<ULID>/deletion-mark.json     to be deleted after a delay
//	<ULID>/no-compact-mark.json   not to be compacted
//	<ULID>/no-downsample-mark.json
//
// Objects whose first path element is not a ULID are somebody else's. A prefix
// without meta.json is no block: an upload or a deletion that has not ended.
package block
