// Package pair compares what Thanos and thanoskit cost at the same work, in one
// process: allocations exactly, times in turns.
package pair
