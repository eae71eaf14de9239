// Package s3 runs an S3 server for tests: versitygw over a directory, with
// credentials that it checks. See package interop for where the binary comes from.
package s3
