// Package faults has the tests of a Compactor that goes wrong: it is killed at any
// operation on its bucket and its directory, the bucket fails, the disk is full,
// blocks are bad, and others work on the same blocks at the same time.
//
//	go test ./compact/faults                # a sample of the cut points
//	go test ./compact/faults -cuts=all -v   # all of them, with their number
//
// After every run in these tests it is checked what has to hold of a bucket: a
// reader with Thanos' filters and delays sees every sample, and no two live blocks of
// a group have sources of which one set contains the other.
package faults
