// Package parse parses PromQL with the parser of whichever Prometheus library
// is linked.
//
//	matchers, err := parse.MetricSelector(`up{job="node"}`)
//
// It is the part of promcompat that links the parser, which brings seven modules
// that code for chunks alone does without. Both functions are safe for concurrent
// use.
package parse
