// Package snappy adds the compressor "snappy", in the form that Thanos'
// components speak, to the ones that gRPC knows.
//
// Import it for its effect:
//
//	import _ "github.com/thanoskit/thanoskit/store/grpcstore/snappy"
//
// A server then answers compressed what it was asked compressed, and a client
// asks so with grpcstore.ClientOptions.Compression set to [Name]. A server
// without it refuses compressed requests with the code Unimplemented.
//
// gRPC keeps its compressors in one table for the whole process, and entering
// it when the program starts, as gRPC's own gzip does, is the only way in. It is
// the one thing global in thanoskit. A program that links Thanos' own snappy
// package too gets whichever of the two starts last; either reads what the other
// writes.
//
// The data is snappy's framed stream format, one stream for each message, with
// blocks compressed for speed: about a third of the time that Thanos' writer
// takes, for results a few percent larger.
//
// Source: github.com/google/snappy, framing_format.txt.
package snappy
