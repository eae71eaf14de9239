// Package blocktest makes blocks for the tests of those who read and write them,
// and a bucket that counts, is slow, fails and dies.
//
//	dir := blocktest.Build(t, t.TempDir(), nil, blocktest.Random(1, nil)...)
//	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
//
// Build writes series, made by hand (Floats, Series, Downsample) or at random by
// seed (Random), into a block; with Options.Unchecked into one in which something
// is wrong. Diff compares two blocks by what they hold and says in words where
// they differ. NewBucket puts a Bucket over any other. Golden has blocks that a real
// Thanos uploaded and downsampled.
//
// Nothing here asks for the time or for chance but the ULIDs of blocks that were
// not given one.
package blocktest
