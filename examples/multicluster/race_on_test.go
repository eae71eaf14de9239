//go:build race

package main

// raceDivisor divides how many requests are made up: the race detector makes each
// several times slower, and has seen all after a few.
const raceDivisor = 3
