// Package wire encodes and decodes the messages of thanos.Store and
// thanos.info.Info straight to and from package store's types and frames of
// package internal/encoded.
//
// It writes and reads protobuf by hand: nothing is generated, nothing is
// registered anywhere, and a program that also links Thanos does not collide.
// What it sends, Thanos' own decoder reads as it was meant, and the other way
// round; where Thanos ignores or merges fields, so does this package.
//
// Decoders treat their input as hostile. Whatever the bytes, they return
// either a message or an error that wraps store.ErrMalformed (or
// store.ErrInvalidRequest for a request that is well-formed and cannot be
// meant), and their memory is bounded by a multiple of the input's length.
// Unknown fields are skipped.
//
// The bridge between plain series and frames is [Send], [Plain] and [View].
package wire
