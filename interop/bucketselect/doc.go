// Package bucketselect compares which blocks our store gateway reads for a request,
// and what it answers, with Thanos'.
package bucketselect
