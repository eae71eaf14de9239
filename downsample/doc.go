// Package downsample makes raw data into aggregates of 5 minutes, and those into
// aggregates of 1 hour.
package downsample
