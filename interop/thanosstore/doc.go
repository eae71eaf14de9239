// Package thanosstore runs Thanos' own stores through store/thanosstore, and ours
// through Thanos' proxy, in one process.
package thanosstore
