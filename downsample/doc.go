// Package downsample makes aggregates of 5 minutes of raw data, and aggregates of
// 1 hour of those, in the format of Thanos, byte for byte.
//
//	meta, err := downsample.Block(ctx, "work/01J...", "work", block.FiveMinutes, nil)
//	meta, err = downsample.Block(ctx, filepath.Join("work", meta.ULID.String()), "work", block.OneHour, nil)
//
// [Block] makes a block of a block, on several cores; [Bucket] all that is due in a
// bucket, which [Due] says of one block. [Downsampler] makes chunks of chunks, for
// those who have a series at hand: what a compactor writes can be downsampled while
// it is written.
//
// The package does not compact, does not delete, and knows nothing of retention.
//
// # Aggregates
//
// A chunk of aggregates holds a chunk for each of them, and none for those that
// there are not:
//
//	           floats                        histograms
//	count      samples of the window         samples of the window
//	sum        their sum                     their sum, a gauge histogram
//	min, max   the least and the greatest    none
//	counter    see below                     see below
//
// Windows are aligned to 1970 and as long as the resolution. A window is told at its
// last ms, or at the last sample if that is the last of the chunk. At 5m, no window
// of floats is told in two chunks. At 1h one may be, since chunks are made of whole
// chunks: what is told of it adds up.
//
// How many windows go into a chunk depends on how many samples there are, about 140
// and up to 12 times as many where data is sparse.
//
// # Counters
//
// The counter of floats begins with the first sample, at its own time. Then it has
// for each window what the counter has risen to, resets undone, and at the end the
// last sample as it was, at the time of the last window again:
//
//	samples    10   20   40 | 5    10 | 30   50 |
//	counter    10@t      40        50        90   50
//
// Whoever reads it compares the last sample with what the next chunk begins with,
// and so finds a reset between chunks, and between blocks.
//
// The counter of histograms has for each window the last histogram in it. There is
// no reset in a chunk: where a counter is reset, a chunk ends with the last
// histogram before, and the next one begins with the first after, at its own time.
// So a reader finds the reset where it is in raw data, by the values, across chunks
// and blocks, and nothing has to be undone.
//
//	count of h      10   20   40 | 5    10 | 30   50 |
//	one chunk       10@t      40
//	the next                       5@t  10        50
//
// The window of a reset is told in two parts then, which add up. If there are more
// resets in one window, what is between the first and the last is told in one part:
// its first histogram, and the sum of what was counted up to each reset.
//
// Chunks end, too, where gauges begin or end, where custom bounds become others, and
// where buckets or the zero bucket of a counter become wider. Gauges of one chunk
// have the widest buckets that any of them has.
//
// # What counts as a sample
//
// Stale markers do not, and neither does NaN among floats; both end nothing. A
// histogram whose sum is NaN does, for its buckets are as good as any. Samples that
// go back in time do not. A series without a sample is left out. Chunks without
// samples, and aggregates that are absent, count for nothing.
//
// Infinities count, with what IEEE 754 makes of them, but for one thing that readers
// have from Thanos: min is 1.797e308 at most, and max -1.797e308 at least.
//
// Floats and histograms of one series make chunks of their own. Counts of histograms
// are floating-point numbers ever after.
//
// # Beside Thanos
//
// Chunks of floats are those of Thanos v0.42.4, 5m of the same raw chunks and 1h of
// the same 5m. So are those of histograms whose buckets stay what they are and that
// are not reset, but for the first sample of the counter, which Thanos does not
// keep. Package interop/downsample holds all of
// that to the real one, and what is different:
//
//   - samples before 1970 count;
//   - a histogram counter goes on over a chunk after a reset, where Thanos' has one
//     reset more, by as much as the counter has at that time;
//   - one whose buckets become wider is not reset by that;
//   - no window is lost where the zero bucket becomes wider, or custom bounds become
//     others, and nothing panics where they become exponential buckets;
//   - histograms are kept whose sum is NaN;
//   - a series without chunks is no panic, chunks of which one aggregate is absent do
//     not begin in 1970, and no number of windows makes a loop without an end.
//
// # Errors
//
// Chunks that overlap or do not ascend are a block.SeriesError, those that do not
// decode a [ChunkError]; [Block] says of which series, and makes a
// block.CorruptError of the latter. Chunks can hold anything: none leads to a panic.
package downsample
