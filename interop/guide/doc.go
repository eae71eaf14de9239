// Package guide runs the commands of docs/guide.md as they stand there, one after
// the other, with the real Prometheus, promtool and nginx, and compares what they
// print with what the page says. Only the ports are others.
package guide
