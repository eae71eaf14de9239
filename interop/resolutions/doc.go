// Package resolutions asks thanoskit's querier and the real one about a bucket in
// which raw data, 5m and 1h follow each other and overlap, by way of either store
// gateway, and compares what they answer with each other and with the samples that
// all of it was made of.
package resolutions
