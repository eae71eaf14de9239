// Package downsample compares package downsample with Thanos' pkg/compact/downsample
// over the same blocks: chunks of floats byte for byte, those of histograms by what
// is in them, and the new block's meta.json and index by Thanos' own tools.
//
// TestRatio measures both on a block in a directory, that of Thanos from when it is
// open to when the new one is written, ours from before it is opened. Allocations
// are always compared, times in pairs if it is asked for; that takes two minutes:
//
//	go test -tags slicelabels -v -run Ratio ./downsample -ratio 21 -timeout 20m
package downsample
