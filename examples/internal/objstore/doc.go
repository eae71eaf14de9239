// Package objstore gives the example programs the bucket that Thanos' YAML names:
//
//	type: S3
//	config:
//	  bucket: thanos
//	  endpoint: s3.example.org
//	prefix: history
//
// It is the one package that links the clients of every cloud; a program of one's
// own that knows its provider imports that one.
package objstore
