// Package block is what lies in object storage: blocks of the Prometheus TSDB
// with the section that Thanos adds, the marks beside them, and how they get
// there and back so that readers see each of them as a whole or not at all.
//
//	meta, err := block.Upload(ctx, bkt, "data/01J...", nil)
//	...
//	filters, err := block.StandardFilters(nil)
//	fetcher, err := block.NewFetcher(bkt, cacheDir, &block.FetcherOptions{Filters: filters})
//	view, err := fetcher.Fetch(ctx) // view.Metas are the blocks that there are
//	...
//	err = block.Download(ctx, bkt, meta.ULID, "work/"+meta.ULID.String(), nil)
//	r, err := block.Open("work/" + meta.ULID.String())
//
// Around a bucket there are [Upload], [Download], [Delete], [Replicate], marks
// ([PutMark], [ReadMark], [RemoveMark]) and the [Fetcher]. On disk there are
// [Open], [NewWriter], [Verify] and [RewriteBlock], which read and write indexes
// themselves, and chunks by Prometheus' tsdb/chunkenc. They do without its tsdb,
// which links the SDKs of clouds.
//
// Nothing here chooses blocks. Package block/shipper sends those of a running
// Prometheus, store/bucketstore answers from those in a bucket, compact merges them,
// and downsample makes 5m and 1h of them.
//
// # Layout
//
// A block is a directory, in a bucket a prefix, that is named by its ULID:
//
//	<ULID>/meta.json                what the block is; written last, deleted first
//	<ULID>/index                    symbols, series, postings (TSDB index, version 1 or 2)
//	<ULID>/chunks/000001 ...        segments of chunks
//	<ULID>/deletion-mark.json       to be deleted, after a delay
//	<ULID>/no-compact-mark.json     not to be compacted
//	<ULID>/no-downsample-mark.json  not to be downsampled
//
// Objects whose first path element is not a ULID are somebody else's. A prefix
// without meta.json is no block: an upload or a deletion that has not ended.
// Tombstones exist on disk alone.
//
// # meta.json
//
// Of Prometheus, times in ms and half-open:
//
//	ulid, minTime, maxTime, version (1)
//	stats        numSamples, numFloatSamples, numHistogramSamples, numSeries, numChunks, numTombstones
//	compaction   level, sources, deletable, parents {ulid, minTime, maxTime}, failed, hints
//
// Of Thanos, below "thanos":
//
//	version        1, or missing
//	labels         external labels
//	downsample     resolution in ms: 0, 300000 or 3600000
//	source         component that made the block
//	segment_files  names below chunks/, in the order of chunk references; superseded by files
//	files          rel_path, size_bytes, hash {hashFunc, value}, sorted by path
//	rewrites       sources, deletions_applied, relabels_applied
//	index_stats    series_max_size, chunk_max_size, in bytes
//	extensions     any JSON
//	upload_time    RFC 3339; year 1 before the upload
//
// [Meta.Encode] writes the bytes that Thanos v0.42.4 does: indented by tabs, zero
// values left out where it leaves them out. [ParseMeta] takes nothing that would
// lead readers astray: sizes below 0, ranges that are reversed, names of files
// that lead out of the block are a [MetaError] with the field.
//
// # Marks
//
// A mark is a JSON object with id, version (1), details, and
//
//	deletion       deletion_time
//	no-compact     no_compact_time, reason
//	no-downsample  no_downsample_time, reason
//
// where times are in seconds since 1970. A mark that is there stays as it is when
// it is put again. What a mark means that cannot be understood, [View.Marked] says.
//
// # Crashes
//
// Everything can end anywhere, in between and for good, and be called again. The
// bucket, and for [Download] the directory, are all that is remembered: see there
// what is kept of an attempt before, and why it may be.
//
// # Errors
//
// What is wrong with a block names it: [CorruptError] with the file, [MetaError]
// with the field, [UnsupportedError] for versions and encodings that are not known
// here, which are never taken for corrupt. One bad block does not keep the others
// from being seen: it is in [View.Partial]. What could not be judged is an
// [IncompleteError] beside the view, not an error instead of it.
package block
