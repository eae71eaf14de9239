// Package blocktest makes blocks and buckets for the tests of those who read and
// write them.
package blocktest
