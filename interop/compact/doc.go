// Package compact holds the compactor's jobs beside Thanos' and Prometheus': the
// blocks that they make are compared, given to real tools, and what it takes to make
// them is measured in one process.
//
// Ratios of allocations and of bytes read from the bucket are always asserted. Times
// are taken in pairs if it is asked for, over more data, which takes some minutes:
//
//	go test -tags slicelabels -v -run Ratio ./compact -ratio 15 -timeout 40m
package compact
