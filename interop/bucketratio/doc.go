// Package bucketratio measures our store gateway beside Thanos', in one process
// and over the same bucket, after a check that both answer the same.
package bucketratio
