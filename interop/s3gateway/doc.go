// Package s3gateway is a module of its own for one tool: versitygw, the S3 server
// that tests in interop run. It wants newer versions of the clouds' clients than
// the Thanos that interop builds.
package s3gateway
