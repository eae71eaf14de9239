// Package encoded carries series between thanoskit's own packages in the form
// they have on the wire, so that a fan-out can compare, merge and send on what
// it received without decoding a label or a chunk.
//
// A [Frame] is a run of series whose bytes share one lifetime. Whoever is
// handed a frame borrows it for the duration of the call; to keep it, or
// anything that its series point to, Retain it and Release it later. A
// [Writer] is the optional ability of a store.SeriesWriter to take frames; a
// Store that never heard of it goes on sending plain series.
//
// Label sets are in canonical wire form: the label entries of a storepb
// Series message (storepb/types.proto: repeated Label labels = 1) in strictly
// ascending order of names, name and value always written, lengths in the
// shortest varint. Two label sets are then equal exactly if their bytes are,
// and [CompareLabels] orders them as labels.Compare does.
//
// The package knows nothing of stores, gRPC or protobuf messages: those are
// internal/wire and store/grpcstore.
package encoded
