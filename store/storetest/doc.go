// Package storetest is a conformance kit for Stores: checks that prove one right,
// in process and on the wire.
package storetest
