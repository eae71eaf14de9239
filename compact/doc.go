// Package compact merges the blocks in a bucket into larger ones, downsamples
// them, and deletes what has been replaced or has had its time.
package compact
